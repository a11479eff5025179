"""The embedded models from scratch."""
