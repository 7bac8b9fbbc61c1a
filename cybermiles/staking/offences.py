"""Two votes that anybody shows: whether they prove a double vote that is still punished.

The contract cannot look up who decided a height, so it asks whose key it was: every key that a candidate ever declared
is known with the heights it was in use at. Age is counted in blocks only. Otherwise the rules are those of evidence in
blocks (`execution.evidence`), and an offence is punished once, whichever way it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto import ed25519
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.staking.errors import EvidenceRejected
from cybermiles.staking.keys import key_at
from cybermiles.staking.layout import key_use
from cybermiles.staking.slashing import punish_double_vote
from cybermiles.types import rlp
from cybermiles.types.evidence import MAX_EVIDENCE_ITEM_BYTES, duplicate_vote
from cybermiles.types.vote import decode_vote

if TYPE_CHECKING:
    from cybermiles.staking.state import StakingState
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.vote import Vote

_SETTLED_AHEAD = 2
"""A replaced key still votes this many heights on: the next two sets are settled."""


def submit_evidence(state: StakingState, first: bytes, second: bytes, *, chain_id: int, genesis_hash: bytes) -> int:
    """Punish the candidate that signed both encoded votes; return the wei burnt. Raises EvidenceRejected."""
    evidence = _conflict(_vote(first), _vote(second))
    use = key_use(state.storage, evidence.validator)
    if not use.candidate:
        raise EvidenceRejected("no candidate has or had this key")
    if not 1 <= evidence.height <= state.height:
        raise EvidenceRejected("votes for a height that is not there yet")
    if state.height - evidence.height > state.params.evidence_max_age_blocks:
        raise EvidenceRejected("too old")
    if evidence.height < use.since or (use.until and evidence.height > use.until + _SETTLED_AHEAD):
        raise EvidenceRejected("the key was not in use at that height")
    key = key_at(state.storage, evidence.validator)
    for vote in (evidence.first, evidence.second):
        if not ed25519.verify(key, vote.sign_bytes(chain_id, genesis_hash), vote.signature):
            raise EvidenceRejected("wrong signature")
    burnt = punish_double_vote(state, use.candidate, evidence.height, evidence.hash)
    if burnt is None:
        raise EvidenceRejected("punished already")
    return burnt


def _vote(encoded: bytes) -> Vote:
    if len(encoded) > MAX_EVIDENCE_ITEM_BYTES:
        raise EvidenceRejected("too long")
    try:
        return decode_vote(rlp.decode(encoded, max_depth=1))
    except DecodingError as error:
        raise EvidenceRejected("not an encoded vote") from error


def _conflict(one: Vote, other: Vote) -> DuplicateVote:
    try:
        return duplicate_vote(one, other)
    except ProtocolViolation as error:
        raise EvidenceRejected("the votes do not conflict") from error
