"""Reinforcement learning: the solution trees as an environment."""
