"""The engine: the store of draws, the models behind it, and the step loop for any policy."""
