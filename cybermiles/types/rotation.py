"""Who proposes: CometBFT's proposer priority, bit for bit (its types/validator_set.go and proposer-selection.md).

Every validator gains its power in priority at each step; the highest priority proposes and pays the total power.
Over a constant set each proposes exactly in proportion to its power, and leaving and coming back gains nothing.

    height H+1 = height H, the changes of its set taken in (`updated`), one step on (`advanced`)
    round r    = the height's rotation, r steps on

Two roundings in one algorithm: rescaling truncates toward zero, centring rounds down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, InvariantViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import Address
from cybermiles.types.validator import Validator, ValidatorSet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.types.rlp import Item

WINDOW = 2
"""Priorities may differ by this many times the total power."""
MAX_VALIDATORS = 3_000
"""Of one set; a commit of more does not fit a block."""
_MAX_PRIORITY = 2**63 - 1
_OFFSET = 2**63
"""Added to a priority in the encoding, which has no negative numbers."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """A validator set, its members' priorities, and who proposes."""

    validators: ValidatorSet
    priorities: tuple[int, ...]
    """In the order of the set. Signed, 64 bits."""
    proposer_index: int
    """Position in the set of whom the last step chose."""

    @property
    def proposer(self) -> Validator:
        """Who proposes."""
        return self.validators.validators[self.proposer_index]

    def advanced(self, steps: int = 1) -> Rotation:
        """Return the rotation `steps` (at least 1) further: rescaled and centred once, then stepped."""
        if steps < 1:
            raise InvariantViolation(f"a rotation advances by at least one step, not {steps}")
        total = self.validators.total_power
        priorities = _centred(_rescaled(list(self.priorities), WINDOW * total))
        chosen = self.proposer_index
        for _ in range(steps):
            chosen = _step(priorities, self.validators)
        return Rotation(self.validators, tuple(priorities), chosen)

    def proposers(self) -> Iterator[int]:
        """Yield without end the position of who proposes in round 0, 1, …: in round r, whom `advanced(r)` chooses."""
        yield self.proposer_index
        priorities = _centred(_rescaled(list(self.priorities), WINDOW * self.validators.total_power))
        while True:
            yield _step(priorities, self.validators)

    def updated(self, validators: ValidatorSet) -> Rotation:
        """Return the rotation over a changed set: members keep their priority, newcomers start at -1.125 · power.

        The proposer is the one with the highest priority until the next step.
        """
        known = {member.address: index for index, member in enumerate(self.validators.validators)}
        # The reference total has the updates applied and the removals not yet, so that a swap gains nothing.
        staying = {member.address for member in validators.validators}
        removed = sum(member.power for member in self.validators.validators if member.address not in staying)
        before = validators.total_power + removed
        newcomer = -(before + (before >> 3))
        priorities = [
            self.priorities[known[member.address]] if member.address in known else newcomer
            for member in validators.validators
        ]
        priorities = _centred(_rescaled(priorities, WINDOW * validators.total_power))
        return Rotation(validators, tuple(priorities), _highest(priorities, validators))

    def following(self, changed: ValidatorSet | None) -> Rotation:
        """Return the next height's rotation; `changed` is its set, None where it stays (which gives the same)."""
        return (self if changed is None else self.updated(changed)).advanced()

    def to_item(self) -> list[Item]:
        """Return the RLP item [[[key, operator, power, priority + 2^63]…], proposer index]."""
        members: list[Item] = [
            [
                member.consensus_key,
                member.operator,
                rlp.int_to_bytes(member.power),
                rlp.int_to_bytes(priority + _OFFSET),
            ]
            for member, priority in zip(self.validators.validators, self.priorities, strict=True)
        ]
        return [members, rlp.int_to_bytes(self.proposer_index)]


def first_rotation(validators: ValidatorSet) -> Rotation:
    """Return the rotation of the first height: all members are newcomers, and one step is taken."""
    total = validators.total_power
    priorities = _centred(_rescaled([-(total + (total >> 3))] * len(validators.validators), WINDOW * total))
    return Rotation(validators, tuple(priorities), _highest(priorities, validators)).advanced()


def decode_rotation(item: Item) -> Rotation:
    """Return the rotation of a decoded RLP item. Raises DecodingError."""
    members, proposer = rlp.as_list(item, length=2)
    validators: list[Validator] = []
    priorities: list[int] = []
    for member in rlp.as_list(members):
        key, operator, power, priority = rlp.as_list(member, length=4)
        validators.append(
            Validator(rlp.as_bytes(key, size=32), Address(rlp.as_bytes(operator, size=20)), rlp.as_int(power, bits=64))
        )
        priorities.append(rlp.as_int(priority, bits=64) - _OFFSET)
    index = rlp.as_int(proposer, bits=32)
    if not index < len(validators) <= MAX_VALIDATORS:
        raise DecodingError(f"a rotation of {len(validators)} validators with proposer {index}")
    try:
        ordered = ValidatorSet(tuple(validators))
    except InvariantViolation as error:
        raise DecodingError(str(error)) from error
    if ordered.validators != tuple(validators):
        raise DecodingError("a rotation's validators are not in canonical order")
    return Rotation(ordered, tuple(priorities), index)


def _rescaled(priorities: list[int], window: int) -> list[int]:
    """Divide all priorities so that they differ by the window at most, truncating toward zero."""
    spread = max(priorities) - min(priorities)
    if spread <= window:
        return priorities
    ratio = -(-spread // window)
    return [priority // ratio if priority >= 0 else -(-priority // ratio) for priority in priorities]


def _centred(priorities: list[int]) -> list[int]:
    """Move all priorities so that their average, rounded down, is zero."""
    average = sum(priorities) // len(priorities)
    return [_clipped(priority - average) for priority in priorities]


def _step(priorities: list[int], validators: ValidatorSet) -> int:
    """Credit everybody, charge the highest, and return its position."""
    for index, member in enumerate(validators.validators):
        priorities[index] = _clipped(priorities[index] + member.power)
    chosen = _highest(priorities, validators)
    priorities[chosen] = _clipped(priorities[chosen] - validators.total_power)
    return chosen


def _highest(priorities: list[int], validators: ValidatorSet) -> int:
    """Return the position of the highest priority; of equals, that of the smallest address."""
    addresses = validators.addresses
    return min(range(len(addresses)), key=lambda index: (-priorities[index], addresses[index]))


def _clipped(priority: int) -> int:
    return max(-_MAX_PRIORITY - 1, min(_MAX_PRIORITY, priority))
