"""What executing a block produced: all that storage, RPC and consensus need to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cybermiles.chain.fees import Lane
    from cybermiles.chain.params import ChainParams
    from cybermiles.state.reader import RootUpdate, StateChanges
    from cybermiles.types.evidence import Misbehaviour
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import Address, Wei
    from cybermiles.types.receipt import Log, Receipt
    from cybermiles.types.validator import ValidatorSet


class TransactionOutcome(NamedTuple):
    """One executed transaction: the consensus receipt and what clients ask about beside it."""

    receipt: Receipt
    """What the receipts root commits to."""
    gas_used: int
    effective_gas_price: Wei
    """Wei per gas charged: 0 in the free lane, whatever was offered."""
    lane: Lane
    compute_units: int
    contract_address: Address | None
    """Created by a creation transaction, else None."""
    failure: str | None
    """None, or a phrase such as "execution reverted"."""
    output: bytes
    """Revert data of a failed transaction (at most 1 KiB), else b""."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockOutcome:
    """A block that was executed and found valid (or was just built)."""

    header: Header
    """The block's own header; every root in it equals what execution produced."""
    transactions: tuple[TransactionOutcome, ...]
    changes: StateChanges
    """Slots and codes that changed, for the flat state."""
    root_update: RootUpdate
    minted: Wei
    """New coins of this block."""
    fees: Wei
    """Sum of all fees paid to the award pool."""
    burnt: Wei
    """Coins destroyed by self-destruction and by slashing."""
    free_gas: int
    """Sum of gas limits in the free lane."""
    compute_units: int
    next_params: ChainParams
    """In force in the next block."""
    misbehaviour: tuple[Misbehaviour, ...] = ()
    """What the block's evidence proves, in its order."""
    validator_updates: ValidatorSet | None = None
    """Who decides two heights later, None where that is who decides the next one."""
    frozen: tuple[Address, ...] = ()
    """Accounts frozen in the next block, as far as its time does not end a freeze."""
    system_logs: tuple[Log, ...] = ()
    """Events of the system contracts that belong to no transaction, in order. No receipt and no root has them."""
