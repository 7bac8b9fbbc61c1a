"""Which chains may be for development: those whose coins are worth nothing."""

from __future__ import annotations

from cybermiles.errors import ConfigError

PUBLIC_CHAINS = (18, 19)
"""Main and test network."""


def check_development(chain_id: int) -> None:
    """Raise ConfigError where a chain for development would have a public network's id."""
    if chain_id in PUBLIC_CHAINS:
        raise ConfigError(f"genesis.dev: chain {chain_id} is a public network; anybody could take everybody's coins")
