"""An experiment: params.yaml as typed models, and what runs and fits its routers."""
