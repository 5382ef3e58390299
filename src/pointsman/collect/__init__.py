"""Prompt real endpoints on a question set and keep what came of it: how users make their own outcomes."""
