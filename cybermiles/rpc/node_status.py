"""What a node says of itself, its peers and the height it decides: plain values, filled by `node`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorIdentity:
    """The validator key a node signs with."""

    address: bytes
    """20-byte consensus address."""
    public_key: bytes
    """32 bytes."""
    operator: Address | None
    """Account behind it; None while the key is not in the current validator set."""
    power: int
    """In the current set, 0 outside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeIdentity:
    """Who a node is to others."""

    id: str | None
    """40 hex digits; None for a node without peers."""
    moniker: str
    """A name for people; nothing depends on it."""
    listen_address: str | None
    """host:port where peers connect; None where it does not listen."""
    validator: ValidatorIdentity | None
    """None for a node without a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """One connected peer."""

    id: str
    """40 hex digits."""
    address: str
    """host:port of the connection."""
    is_outbound: bool
    """Whether this node dialed it."""
    score: int
    """Penalty points left of what it did, 0 for a good peer; it is banned at 100."""
    last_reason: str | None
    """Its newest offence, or why the connection before this one ended."""
    height: int | None
    """Newest height it said it has, None where it said nothing yet."""
    base_height: int | None
    """Oldest height it can serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorVotes:
    """One validator in the current round."""

    name: str
    """From the genesis document or its profile; may be empty."""
    address: bytes
    operator: Address
    power: int
    is_proposer: bool
    prevote: str | None
    """None while it has not arrived, else "nil" or the block's hash."""
    precommit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusStatus:
    """The height being decided."""

    height: int
    round: int
    step: str
    is_started: bool
    """False while the next height waits for its time."""
    is_catching_up: bool
    """Following what others decided; such a node votes on nothing."""
    explanation: str
    """One sentence: why the height does not advance, and who is missing."""
    locked_round: int | None
    """Round of the block this node is locked on."""
    valid_round: int | None
    """Newest round with a polka that this node knows of."""
    validators: tuple[ValidatorVotes, ...]
    """In the order of the set."""

    @property
    def total_power(self) -> int:
        """Of all validators."""
        return sum(validator.power for validator in self.validators)

    @property
    def quorum_power(self) -> int:
        """Least power that is more than two thirds."""
        return self.total_power * 2 // 3 + 1
