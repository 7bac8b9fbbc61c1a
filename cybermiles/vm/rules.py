"""Which rules the EVM follows, as a value: the fork's features and who charges what for gas."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.primitives import ChainId


class Fork(IntEnum):
    """Ethereum rule sets this VM implements, oldest first."""

    CANCUN = 0
    PRAGUE = 1
    OSAKA = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRules:
    """What a transaction is executed under."""

    fork: Fork
    """Opcodes, precompiles, intrinsic gas, limits."""
    chain_id: ChainId
    """Answer of CHAINID and of authorizations."""
    ethereum_fees: bool = False
    """True: base fee is burnt and the tip goes to the coinbase, as on Ethereum. False: the whole fee goes
    to the context's `fee_recipient` and base fee is 0."""
    allow_unsigned: bool = False
    """Whether transactions that nobody signed are accepted: only on a chain for development."""
    blob_fee_fraction: int | None = None
    """How slowly the blob price of a foreign chain with a schedule of its own moves (EIP-7892). None: the fork's."""


def ethereum_rules(fork: Fork, chain_id: ChainId) -> ChainRules:
    """Return plain Ethereum's rules, for conformance tests."""
    return ChainRules(fork=fork, chain_id=chain_id, ethereum_fees=True)
