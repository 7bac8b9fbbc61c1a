"""Planted bugs that the gate must find. See docs/simulation.md."""
