"""The simulator: virtual time around the scheduler."""
