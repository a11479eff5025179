"""TRIM: route multi-step reasoning one step at a time (arXiv 2601.10245)."""
