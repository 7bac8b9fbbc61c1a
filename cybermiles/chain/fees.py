"""The fee waiver as a consensus rule: which lane a transaction of a block is in, and what it is charged.

Decided in block order from the gas *limit* a transaction asks for, which is known before it runs:

    1. free       gas limit ≤ free_gas_limit, whatever price it offers, while its sender has no free transaction in
                  this block yet and slots, free gas and free compute units last. Charged 0.
    2. paid       effective price ≥ min_gas_price. Charged that price; nothing is burnt.
    3. sponsored  the recipient's sponsor deposit pays, by its owner's rules (`cybermiles.sponsorship`).
    4. otherwise  not includable now (it may be free in a later block) or, over the free limit, not at all.

One per sender implies the original's one per (from, to) pair, so no book of pairs is kept. A failed free
transaction keeps its slot.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cybermiles.errors import NotIncludable, Underpriced
from cybermiles.types.primitives import GWEI, WEI_PER_CMT, Wei

if TYPE_CHECKING:
    from cybermiles.chain.params import ChainParams
    from cybermiles.types.primitives import Address


class Asking(Protocol):
    """What a lane is decided by: a transaction, or a question about one."""

    @property
    def sender(self) -> Address:
        """Who signed it."""
        ...

    @property
    def to(self) -> Address | None:
        """Recipient; None creates a contract."""
        ...

    @property
    def gas_limit(self) -> int:
        """What it asks for."""
        ...

    def effective_gas_price(self, base_fee: int) -> int:
        """Return the price it offers. Wei per gas."""
        ...


class Sponsors(Protocol):
    """The sponsor deposits, as they are now."""

    def refusal(self, transaction: Asking) -> str | None:
        """Return None where a deposit pays for the transaction's gas, else why none does: "" where nobody offers to."""
        ...


class NoSponsors:
    """A chain where nobody sponsors."""

    def refusal(self, transaction: Asking) -> str | None:  # noqa: ARG002
        """Refuse."""
        return ""


class Lane(IntEnum):
    """Who pays for a transaction's gas."""

    FREE = 0
    """Nobody."""
    PAID = 1
    """The sender."""
    SPONSORED = 2
    """The called contract's sponsor deposit."""


class LaneDecision(NamedTuple):
    """How one transaction is to be executed."""

    lane: Lane
    gas_price: Wei
    """Charged to the sender per gas used."""
    sponsor_price: Wei
    """Charged to the recipient's sponsor deposit per gas used."""
    compute_units: int
    """Budget of the second meter."""
    cut_by_block: bool
    """Whether that budget is smaller than the lane's, because the block's is nearly used up."""


_NOBODY = NoSponsors()


class LaneBook:
    """The lanes and budgets of one block while it fills."""

    def __init__(self, params: ChainParams, sponsors: Sponsors = _NOBODY) -> None:
        self._params = params
        self._sponsors = sponsors
        self._free_senders: dict[Address, None] = {}
        self._free_compute_units = 0
        self._gas_used = 0
        self.free_gas = 0
        """Sum of gas limits in the free lane so far."""
        self.compute_units = 0
        """Compute units used so far in all lanes."""

    @property
    def free_slots(self) -> int:
        """Transactions in the free lane so far."""
        return len(self._free_senders)

    def assign(self, transaction: Asking) -> LaneDecision:
        """Return the lane the transaction would take as the next one of the block; reserves nothing.

        Raises NotIncludable where a later block may take it, Underpriced where none can as things are.
        """
        params = self._params
        if transaction.gas_limit > params.block_gas_limit - self._gas_used:
            raise NotIncludable("block gas limit reached")
        left = params.compute_units_per_block - self.compute_units
        if left <= 0:
            raise NotIncludable("block compute budget reached")
        lane = self._lane(transaction)
        charged = transaction.effective_gas_price(0) if lane is Lane.PAID else 0
        sponsored = params.min_gas_price if lane is Lane.SPONSORED else 0
        free, whole = params.free_compute_units_per_transaction, params.compute_units_per_transaction
        budget = free if lane is Lane.FREE else whole
        is_cut = left < budget
        return LaneDecision(lane, Wei(charged), Wei(sponsored), left if is_cut else budget, is_cut)

    def record(
        self,
        transaction: Asking,
        decision: LaneDecision,
        *,
        gas_used: int,
        compute_units: int,
    ) -> None:
        """Count a transaction that is now in the block, successful or not."""
        self._gas_used += gas_used
        self.compute_units += compute_units
        if decision.lane is Lane.FREE:
            self._free_senders[transaction.sender] = None
            self.free_gas += transaction.gas_limit
            self._free_compute_units += compute_units

    def _lane(self, transaction: Asking) -> Lane:
        params = self._params
        if self._is_free(transaction):
            return Lane.FREE
        if transaction.effective_gas_price(0) >= params.min_gas_price:
            return Lane.PAID
        why_not = self._sponsors.refusal(transaction)
        if why_not is None:
            return Lane.SPONSORED
        if transaction.gas_limit <= params.free_gas_limit:
            raise NotIncludable("no free slot in this block")
        raise Underpriced(price_needed(transaction.gas_limit, params, why_not))

    def _is_free(self, transaction: Asking) -> bool:
        params = self._params
        gas_limit = transaction.gas_limit
        return (
            gas_limit <= params.free_gas_limit
            and len(self._free_senders) < params.free_slots_per_block
            and transaction.sender not in self._free_senders
            and self.free_gas + gas_limit <= params.free_gas_per_block
            and self._free_compute_units + params.free_compute_units_per_transaction
            <= params.free_compute_units_per_block
        )


def price_needed(gas_limit: int, params: ChainParams, why_not_sponsored: str = "") -> str:
    """Return the sentence that tells the sender of a too-large zero-price transaction what to do."""
    price = params.min_gas_price
    sentence = (
        f"gas limit {gas_limit} is over the free limit {params.free_gas_limit}: set a gas price of at "
        f"least {decimal(price, GWEI)} gwei ({decimal(gas_limit * price, WEI_PER_CMT, places=4)} CMT "
        "for this transaction)"
    )
    return f"{sentence}; {why_not_sponsored}" if why_not_sponsored else sentence


def decimal(amount: int, unit: int, *, places: int | None = None) -> str:
    """Return amount/unit as an exact decimal, or rounded up to `places` digits."""
    if places is not None:
        step = unit // 10**places
        amount = -(-amount // step) * step
    whole, rest = divmod(amount, unit)
    digits = str(rest).zfill(len(str(unit)) - 1).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
