"""Deterministic simulation of the network: one seed, one schedule, one result. See docs/simulation.md."""
