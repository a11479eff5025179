"""An experiment: params.yaml as typed models, the runner of its models, and the fitting of its routers."""
