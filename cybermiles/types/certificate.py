"""Bundles of votes that let a node that fell behind follow at once, whatever it missed.

    PolkaCertificate    more than two thirds prevoted one block in one round: sent with a block proposed again
    RoundCertificate    why a round was entered: a quorum of precommits of the round before, or an honest
                        minority's votes of the round itself

Both are taken vote by vote into the tally, so they prove nothing that their votes do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from cybermiles.errors import DecodingError
from cybermiles.types import rlp
from cybermiles.types.vote import VoteType, decode_vote

if TYPE_CHECKING:
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.rlp import Item
    from cybermiles.types.vote import Vote

MAX_CERTIFICATE_VOTES = 6_000
"""Two votes of each of 3,000 validators."""


@dataclass(frozen=True, slots=True)
class PolkaCertificate:
    """Prevotes of a quorum for one block in one round."""

    height: int
    round: int
    block_hash: Hash32
    votes: tuple[Vote, ...]

    def to_item(self) -> list[Item]:
        """Return the RLP item [vote…]."""
        return [vote.to_item() for vote in self.votes]


@dataclass(frozen=True, slots=True)
class RoundCertificate:
    """Votes that justify having entered a round above 0."""

    height: int
    round: int
    votes: tuple[Vote, ...]

    def to_item(self) -> list[Item]:
        """Return the RLP item [round, [vote…]]."""
        return [rlp.int_to_bytes(self.round), [vote.to_item() for vote in self.votes]]


Certificate: TypeAlias = PolkaCertificate | RoundCertificate


def decode_polka(item: Item) -> PolkaCertificate:
    """Return the certificate of a decoded RLP item; signatures and power are not checked. Raises DecodingError."""
    votes = _decode_votes(item)
    first = votes[0]
    if first.block_hash is None or first.type is not VoteType.PREVOTE:
        raise DecodingError("a polka certificate holds prevotes for a block")
    subject = (first.type, first.height, first.round, first.block_hash)
    if any((vote.type, vote.height, vote.round, vote.block_hash) != subject for vote in votes):
        raise DecodingError("a polka certificate is about one block in one round")
    return PolkaCertificate(first.height, first.round, first.block_hash, votes)


def decode_round_certificate(item: Item) -> RoundCertificate:
    """Return the certificate of a decoded RLP item; signatures and power are not checked. Raises DecodingError."""
    round_, votes_item = rlp.as_list(item, length=2)
    number = rlp.as_int(round_, bits=32)
    votes = _decode_votes(votes_item)
    if number == 0 or any(vote.height != votes[0].height or vote.round not in (number - 1, number) for vote in votes):
        raise DecodingError(f"a certificate of round {number} holds votes of it or of the round before, of one height")
    return RoundCertificate(votes[0].height, number, votes)


def _decode_votes(item: Item) -> tuple[Vote, ...]:
    items = rlp.as_list(item)
    if not 1 <= len(items) <= MAX_CERTIFICATE_VOTES:
        raise DecodingError(f"a certificate of {len(items)} votes, 1 to {MAX_CERTIFICATE_VOTES} are allowed")
    return tuple(decode_vote(vote) for vote in items)
