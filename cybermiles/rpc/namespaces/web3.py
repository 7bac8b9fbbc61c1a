"""`web3_*`: the client's name, and Keccak-256."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.quantities import encode_data, parse_data

if TYPE_CHECKING:
    from cybermiles.rpc.ports import NodeInfo


class Web3:
    """The web3 namespace."""

    def __init__(self, info: NodeInfo, *, likeness: str = "") -> None:
        """`likeness` stands before the client's name."""
        self._info = info
        self._likeness = likeness

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="web3_clientVersion", handler=self.client_version),
            Method(name="web3_sha3", handler=self.sha3, params=(Param(parse_data),)),
        )

    def client_version(self) -> str:
        """Name this node and its version."""
        return self._likeness + self._info.client_version

    def sha3(self, data: bytes) -> str:
        """Return Ethereum's hash of the data."""
        return encode_data(keccak256(data))
