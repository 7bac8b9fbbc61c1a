"""A foreign Ethereum chain, executed under Ethereum's rules and served by this node's JSON-RPC."""
