"""Tables, figures and the page, drawn from the evaluation's files alone."""
