"""What Ethereum derives from a parent header: the next base fee (EIP-1559) and excess blob gas (EIP-4844, 7918)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.vm.ethereum import EthereumFork
from cybermiles.vm.rules import Fork
from cybermiles.vm.validity import GAS_PER_BLOB, blob_base_fee

if TYPE_CHECKING:
    from cybermiles.conformance.forks import BlobSchedule, ForkSchedule
    from cybermiles.conformance.header import EthereumHeader

FIRST_BASE_FEE = 10**9
_ELASTICITY = 2
_MAX_CHANGE_DENOMINATOR = 8
_BLOB_BASE_COST = 2**13
"""EIP-7918: execution gas that a blob costs at least."""


def next_base_fee(parent: EthereumHeader, fork: EthereumFork) -> int | None:
    """Return the base fee of the block after `parent`, which follows `fork`; None before London."""
    if fork < EthereumFork.LONDON:
        return None
    base_fee = parent.base_fee_per_gas
    if base_fee is None:
        return FIRST_BASE_FEE
    target = parent.gas_limit // _ELASTICITY
    if parent.gas_used == target:
        return base_fee
    change = base_fee * abs(parent.gas_used - target) // target // _MAX_CHANGE_DENOMINATOR
    return base_fee + max(change, 1) if parent.gas_used > target else base_fee - change


def next_excess_blob_gas(parent: EthereumHeader, schedule: ForkSchedule, timestamp: int, fork: EthereumFork) -> int:
    """Return the excess blob gas of the block after `parent` at `timestamp`, which follows `fork`."""
    blobs = schedule.blobs_at(timestamp)
    excess, used = parent.excess_blob_gas or 0, parent.blob_gas_used or 0
    target = blobs.target * GAS_PER_BLOB
    if excess + used < target:
        return 0
    if fork >= EthereumFork.OSAKA and _BLOB_BASE_COST * parent.base_fee > GAS_PER_BLOB * price_of_blobs(excess, blobs):
        return excess + used * (blobs.maximum - blobs.target) // blobs.maximum
    return excess + used - target


def price_of_blobs(excess_blob_gas: int, blobs: BlobSchedule) -> int:
    """Return wei per blob gas."""
    return blob_base_fee(excess_blob_gas, Fork.CANCUN, blobs.fee_fraction)
