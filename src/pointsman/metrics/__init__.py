"""Every measure of quality of a prediction, once."""
