"""What the Otterscan explorer asks of a node, as jobs."""
