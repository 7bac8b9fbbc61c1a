"""What the node keeps on disk: one ordered key-value store, one write batch per block."""
