"""Checks of a run and of its parts: recomputing, comparing, planning, judging answers."""
