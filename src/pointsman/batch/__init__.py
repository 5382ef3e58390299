"""A batch of requests: planned as a whole, then run within the plan's limits, resumable."""
