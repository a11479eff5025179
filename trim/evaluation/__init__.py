"""From episodes to numbers: measures, intervals, summary tables."""
