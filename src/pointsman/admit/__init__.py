"""Whether a request runs."""
