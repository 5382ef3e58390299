"""Tables, importers and the shipped questions."""
