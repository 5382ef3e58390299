"""Contract checks and fakes, for our tests and for authors of plugins."""
