"""The page: results/report.html."""
