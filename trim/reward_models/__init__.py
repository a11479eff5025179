"""Reward models trained on the experiment's solutions, for a lower price or noisier scores."""
