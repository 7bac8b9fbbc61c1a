"""`eth_config` and `eth_capabilities`: by which rules the chain runs, and how far back this node can look."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import FEES, GOVERNANCE, HISTORY_CONTRACT, SLASHING, STAKING, VESTING
from cybermiles.errors import InvariantViolation
from cybermiles.rpc.methods import Method
from cybermiles.rpc.ports import StateUnavailable
from cybermiles.rpc.quantities import encode_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader

PRECOMPILES = {
    "ECREC": 0x01,
    "SHA256": 0x02,
    "RIPEMD160": 0x03,
    "ID": 0x04,
    "MODEXP": 0x05,
    "BN254_ADD": 0x06,
    "BN254_MUL": 0x07,
    "BN254_PAIRING": 0x08,
    "BLAKE2F": 0x09,
    "KZG_POINT_EVALUATION": 0x0A,
    "BLS12_G1ADD": 0x0B,
    "BLS12_G1MSM": 0x0C,
    "BLS12_G2ADD": 0x0D,
    "BLS12_G2MSM": 0x0E,
    "BLS12_PAIRING_CHECK": 0x0F,
    "BLS12_MAP_FP_TO_G1": 0x10,
    "BLS12_MAP_FP2_TO_G2": 0x11,
    "P256VERIFY": 0x100,
}
"""Osaka's, under EIP-7910's names."""
SYSTEM_CONTRACTS = {
    "HISTORY_STORAGE_ADDRESS": HISTORY_CONTRACT,
    "CMT_STAKING": STAKING,
    "CMT_SLASHING": SLASHING,
    "CMT_GOVERNANCE": GOVERNANCE,
    "CMT_VESTING": VESTING,
    "CMT_FEES": FEES,
}
"""Ethereum's one that this chain has, and its own."""


class EthNode:
    """The part of the eth namespace about the chain's rules and the node's data."""

    def __init__(self, chain: ChainReader) -> None:
        self._chain = chain

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="eth_config", handler=self.config, weight=1),
            Method(name="eth_capabilities", handler=self.capabilities, weight=5),
        )

    def config(self) -> Json:
        """Return the rules in force (EIP-7910): Osaka from block 0, no blobs, and no other fork has a time."""
        genesis = self._chain.header(0)
        if genesis is None:
            raise InvariantViolation("there is no block 0")
        current: Json = {
            "activationTime": 0,
            "blobSchedule": {"baseFeeUpdateFraction": 0, "max": 0, "target": 0},
            "chainId": hex(self._chain.chain_id),
            "forkId": f"0x{zlib.crc32(genesis.hash):08x}",
            "precompiles": {name: f"0x{number:040x}" for name, number in PRECOMPILES.items()},
            "systemContracts": {name: encode_data(address) for name, address in SYSTEM_CONTRACTS.items()},
        }
        return {"current": current, "next": None, "last": None}

    def capabilities(self) -> Json:
        """Return the oldest block of each kind of data. Nothing is said of when data will go: settings may change."""
        chain = self._chain
        head = chain.head_height()
        header = chain.header(head)
        if header is None:
            raise InvariantViolation(f"there is no block {head}")
        blocks = _since(head, lambda height: chain.header(height) is not None)
        state = _since(head, self._has_state)
        return {
            "head": {"number": hex(head), "hash": encode_data(header.hash)},
            "blocks": blocks,
            "tx": blocks,
            "receipts": blocks,
            "logs": blocks,
            "state": state,
            "stateproofs": state,
        }

    def _has_state(self, height: int) -> bool:
        try:
            self._chain.state(height)
        except StateUnavailable:
            return False
        return True


def _since(head: int, is_there: Callable[[int], bool]) -> Json:
    """Return the least height from which on everything is there, which the head is."""
    low, high = 0, head
    while low < high:
        middle = (low + high) // 2
        if is_there(middle):
            high = middle
        else:
            low = middle + 1
    return {"disabled": False, "oldestBlock": hex(high)}
