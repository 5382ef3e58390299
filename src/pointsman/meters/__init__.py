"""Energy meters and carbon intensity."""
