"""Official Ethereum test data, run against this node's own modules."""
