"""Proposals, votes, parameters, freezing and recovery: what members decide, and the storage it lies in."""
