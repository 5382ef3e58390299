"""Profiling: run prompts on endpoints and measure."""
