"""Transport and gossip: authenticated links, who to talk to, and what to say on which channel."""
