"""Which evidence a block may contain: a pure function of the block before it and of the heights before that.

Evidence is judged relative to the parent, so that pool, proposer and validator agree whatever the new block's time is:

    height of the offence 1 … parent    its header time is needed, so the height is committed
    age                                 expired when the parent is both more blocks and more seconds past the offence
                                        than the parameters allow
    signatures                          of a member of that height's set, both right
    once                                in no earlier block and once in this one
    order                               by hash; together at most MAX_EVIDENCE_BYTES

Source: CometBFT, evidence/verify.go; docs/spec/validators.md §3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import DecodingError, InvalidBlock, ProtocolViolation
from cybermiles.types.block import MAX_EVIDENCE_BYTES
from cybermiles.types.evidence import decode_evidence, verify_evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cybermiles.chain.params import ChainParams
    from cybermiles.execution.parent import Chain, History, Parent
    from cybermiles.types.evidence import DuplicateVote, Misbehaviour
    from cybermiles.types.header import Header


def is_expired(params: ChainParams, *, age_blocks: int, age_seconds: int) -> bool:
    """Tell whether evidence is too old: more than both clocks allow."""
    return age_blocks > params.evidence_max_age_blocks and age_seconds > params.evidence_max_age_seconds


def check_age(params: ChainParams, history: History, head: Header, evidence: DuplicateVote) -> None:
    """Check that a block on top of `head` may still, and already, contain evidence of that height.

    Raises InvalidBlock otherwise.
    """
    timestamp = history.timestamp(evidence.height) if 1 <= evidence.height <= head.height else None
    if timestamp is None:
        raise InvalidBlock(f"evidence of height {evidence.height}, which is not committed after block {head.height}")
    ages = head.height - evidence.height, head.timestamp - timestamp
    if is_expired(params, age_blocks=ages[0], age_seconds=ages[1]):
        raise InvalidBlock(f"evidence of height {evidence.height} is expired: {ages[0]} blocks and {ages[1]} s old")


def validate_evidence(chain: Chain, parent: Parent, encoded: Sequence[bytes]) -> tuple[Misbehaviour, ...]:
    """Return what a block's evidence proves, in its order. Raises InvalidBlock with the first rule that is broken."""
    if sum(map(len, encoded)) > MAX_EVIDENCE_BYTES:
        raise InvalidBlock(f"more than {MAX_EVIDENCE_BYTES} bytes of evidence")
    found = []
    last = b""
    for raw in encoded:
        evidence, misbehaviour = _judge(chain, parent, raw)
        if evidence.hash <= last:
            raise InvalidBlock("evidence is not in the order of its hashes, each once")
        last = evidence.hash
        found.append(misbehaviour)
    return tuple(found)


def select_evidence(chain: Chain, parent: Parent, offered: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the offered evidence that a block on this parent may contain, as it must stand there.

    The first that fit are taken; what the block may not contain is left out.
    """
    chosen: dict[bytes, bytes] = {}
    size = 0
    for raw in offered:
        try:
            evidence, _ = _judge(chain, parent, raw)
        except InvalidBlock:
            continue
        if evidence.hash not in chosen and size + len(raw) <= MAX_EVIDENCE_BYTES:
            chosen[evidence.hash] = raw
            size += len(raw)
    return tuple(chosen[key] for key in sorted(chosen))


def _judge(chain: Chain, parent: Parent, raw: bytes) -> tuple[DuplicateVote, Misbehaviour]:
    """Check one piece of evidence by itself. Raises InvalidBlock."""
    try:
        evidence = decode_evidence(raw)
    except DecodingError as error:
        raise InvalidBlock(f"evidence that does not decode: {error}") from error
    history = parent.history
    check_age(parent.params, history, parent.header, evidence)
    if history.has_evidence(evidence.hash):
        raise InvalidBlock(f"evidence {evidence.hash.hex()} is in an earlier block")
    validators = history.validators(evidence.height)
    if validators is None:
        raise InvalidBlock(f"evidence of height {evidence.height}, whose validators are not known")
    try:
        return evidence, verify_evidence(evidence, validators, chain.chain_id, chain.genesis_hash)
    except ProtocolViolation as error:
        raise InvalidBlock(str(error)) from error
