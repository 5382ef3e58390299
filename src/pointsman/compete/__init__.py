"""The run-or-skip competition: train, predict, score."""
