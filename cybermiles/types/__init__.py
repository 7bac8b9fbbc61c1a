"""Immutable values shared by every layer, and their canonical bytes."""
