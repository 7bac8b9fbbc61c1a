"""Validators, their sets, and the arithmetic of quorums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256, sha256
from cybermiles.errors import DecodingError, InvariantViolation
from cybermiles.types import rlp
from cybermiles.types.primitives import Address, Hash32

if TYPE_CHECKING:
    from cybermiles.types.rlp import Item

MAX_TOTAL_POWER = (2**63 - 1) // 8
"""CometBFT's cap; keeps proposer priorities inside 64 bits there."""


def consensus_address(public_key: bytes) -> bytes:
    """Return the 20-byte address of an ed25519 consensus key: the start of its SHA-256."""
    return sha256(public_key)[:20]


@dataclass(frozen=True, slots=True)
class Validator:
    """One voter."""

    consensus_key: bytes
    """ed25519 public key, 32 bytes."""
    operator: Address
    """The account behind it; coinbase of its blocks."""
    power: int
    """Votes it has, positive."""

    @property
    def address(self) -> bytes:
        """The 20-byte consensus address."""
        return consensus_address(self.consensus_key)


@dataclass(frozen=True)
class ValidatorSet:
    """Who decides a height, in canonical order: power descending, then consensus address."""

    validators: tuple[Validator, ...]

    def __post_init__(self) -> None:
        ordered = sorted(self.validators, key=lambda v: (-v.power, v.address))
        if list(self.validators) != ordered:
            object.__setattr__(self, "validators", tuple(ordered))
        if not self.validators or len(self._positions) != len(self.validators):
            raise InvariantViolation("a validator set is not empty and names no key twice")
        if any(v.power <= 0 for v in self.validators) or self.total_power > MAX_TOTAL_POWER:
            raise InvariantViolation("validator powers are positive and sum to less than 2^60")

    @cached_property
    def addresses(self) -> tuple[bytes, ...]:
        """The consensus addresses, in canonical order; an address is a hash, so they are computed once."""
        return tuple(validator.address for validator in self.validators)

    @cached_property
    def _positions(self) -> dict[bytes, int]:
        return {address: index for index, address in enumerate(self.addresses)}

    @cached_property
    def total_power(self) -> int:
        """Sum of all powers."""
        return sum(validator.power for validator in self.validators)

    @cached_property
    def hash(self) -> Hash32:
        """keccak256 of the encoding."""
        return Hash32(keccak256(rlp.encode(self.to_item())))

    def to_item(self) -> list[Item]:
        """Return the RLP item [[key, operator, power]…] in canonical order."""
        return [[v.consensus_key, v.operator, rlp.int_to_bytes(v.power)] for v in self.validators]

    @cached_property
    def quorum_power(self) -> int:
        """The smallest power that is more than two thirds of the total."""
        return 2 * self.total_power // 3 + 1

    @cached_property
    def honest_power(self) -> int:
        """The smallest power that is more than one third of the total, so that it includes an honest validator."""
        return self.total_power // 3 + 1

    def position(self, address: bytes) -> int | None:
        """Return the place in canonical order of the member with this consensus address."""
        return self._positions.get(address)

    def by_address(self, address: bytes) -> Validator | None:
        """Return the member with this consensus address."""
        position = self._positions.get(address)
        return None if position is None else self.validators[position]

    def has_quorum(self, power: int) -> bool:
        """Whether the power is more than two thirds of the total."""
        return power >= self.quorum_power

    def has_honest(self, power: int) -> bool:
        """Whether the power is more than one third, so that it includes an honest validator."""
        return power >= self.honest_power


def decode_validator_set(item: Item) -> ValidatorSet:
    """Return the set of a decoded RLP item. Raises DecodingError."""
    members = []
    for member in rlp.as_list(item):
        key, operator, power = rlp.as_list(member, length=3)
        members.append(
            Validator(rlp.as_bytes(key, size=32), Address(rlp.as_bytes(operator, size=20)), rlp.as_int(power, bits=64))
        )
    try:
        ordered = ValidatorSet(tuple(members))
    except InvariantViolation as error:
        raise DecodingError(str(error)) from error
    if ordered.validators != tuple(members):
        raise DecodingError("validators are not in canonical order")
    return ordered
