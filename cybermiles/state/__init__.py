"""Authenticated world state over an abstract key-value store; pure."""
