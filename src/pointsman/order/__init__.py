"""When a request runs."""
