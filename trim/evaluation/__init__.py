"""From episodes to figures: measures, intervals, summary tables."""
