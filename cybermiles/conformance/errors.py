"""What is wrong with a foreign chain's files."""

from __future__ import annotations

from cybermiles.errors import ConfigError


class ForeignChainError(ConfigError):
    """The genesis or chain file cannot be read, or a block breaks Ethereum's rules; the message says which and how."""
