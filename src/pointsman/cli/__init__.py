"""The command line: words in, objects from `build.py`, tables out."""
