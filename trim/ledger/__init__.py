"""The ledger: the calls of models in an episode, and their cost."""
