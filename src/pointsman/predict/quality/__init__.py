"""How likely an answer is right, and how long it is, before a model runs."""
