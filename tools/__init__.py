"""Programs for maintainers, run from the top of the repository; the wheel has none of them."""
