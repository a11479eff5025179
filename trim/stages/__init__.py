"""The stages of the pipeline, one module each, as functions from files to files."""
