"""The state transition: parent state and block in, outcome out; no disk, no clock, no network."""
