"""Named networks and where their genesis documents are.

Reading a packaged file is the one thing this package does outside memory: the documents are part of the program.
"""

from __future__ import annotations

from pathlib import Path

from cybermiles.chain.genesis import GenesisDocument, parse_genesis
from cybermiles.chain.reading import nearest
from cybermiles.errors import ConfigError

NETWORKS = {"mainnet": 18, "testnet": 19, "devnet": 181818}
"""Name to chain id."""
_PLACES = (Path(__file__).parent / "documents", Path(__file__).parents[2] / "genesis")
"""In an installed wheel, and in a checkout."""


def network_genesis(network: str) -> GenesisDocument:
    """Return the checked document of a named network. Raises ConfigError for an unknown name."""
    if network not in NETWORKS:
        raise ConfigError(f'network "{network}" is unknown; {nearest(network, tuple(NETWORKS))}')
    for place in _PLACES:
        path = place / f"{network}.json"
        if path.exists():
            return parse_genesis(path.read_bytes())
    raise ConfigError(f"the genesis document of {network} is missing; reinstall the package")
