"""`eth_simulateV1`: blocks of calls that nobody signed, executed one after another on a committed state."""
