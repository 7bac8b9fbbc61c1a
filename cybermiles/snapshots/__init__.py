"""Snapshots of the state at a height: made, kept, and restored."""
