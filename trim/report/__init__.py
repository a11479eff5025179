"""Tables and figures of a run, drawn from its results without a model."""
