"""The ledger: the calls of models in an episode, and what they cost."""
