"""Measured claims; `python -m benchmarks.run` runs them all."""
