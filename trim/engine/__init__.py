"""The engine: the store of draws, models behind it, and the step loop that runs any policy."""
