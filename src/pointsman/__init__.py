"""Pointsman decides whether, where and when every LLM query runs."""

__version__ = "0.1.0"
