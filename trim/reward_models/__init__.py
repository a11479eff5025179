"""Reward models of one's own: trained on the experiment's solutions, for a smaller price or noisier scores."""
