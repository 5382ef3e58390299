"""For tests, ours and those of plugins: contract checks, small values, Hypothesis strategies.

`contract` and `fakes` need nothing but the package; `strategies` needs Hypothesis.
"""
