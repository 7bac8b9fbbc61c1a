"""Assemble a block from candidate transactions, in their order, leaving out what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvalidBlock, InvalidTransaction, NotIncludable
from cybermiles.execution.block import BlockExecution
from cybermiles.execution.evidence import select_evidence
from cybermiles.execution.validation import environment_of, validate_consensus
from cybermiles.types.block import Block, ConsensusData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.types.abci import PrepareRequest
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction

MAX_CONSECUTIVE_MISFITS = 200
"""Candidates in a row without room after which the block counts as full."""


def consensus_data(parent: Parent, request: PrepareRequest, evidence: tuple[bytes, ...]) -> ConsensusData:
    """Return the consensus fields of the block that the request asks for."""
    return ConsensusData(
        proposer=request.proposer,
        validators_hash=parent.validators.hash,
        next_validators_hash=parent.next_validators.hash,
        last_commit=request.last_commit,
        evidence=evidence,
        parameters_hash=parent.params.hash,
        app_version=parent.app_version,
    )


def build_block(
    chain: Chain,
    parent: Parent,
    request: PrepareRequest,
    candidates: Iterable[Transaction],
) -> tuple[Block, BlockOutcome]:
    """Execute candidates in order and return the block of those that fit, with its outcome.

    After a candidate that does not fit, its sender's later ones are passed over: their nonces would leave
    a gap. Offered evidence that the block may not contain is left out. Raises InvalidBlock where the request
    itself (height, time, proposer, last commit) makes every block invalid.
    """
    if request.height != parent.header.height + 1 or request.timestamp <= parent.header.timestamp:
        raise InvalidBlock(
            f"block {request.height} at {request.timestamp} is asked for after block {parent.header.height} at "
            f"{parent.header.timestamp}"
        )
    evidence = select_evidence(chain, parent, request.evidence)
    consensus = consensus_data(parent, request, evidence)
    misbehaviour = validate_consensus(chain, parent, consensus)
    execution = BlockExecution(chain, parent, environment_of(parent, consensus, request.timestamp, misbehaviour))
    passed_over: set[Address] = set()
    misfits = 0
    for candidate in candidates:
        if candidate.sender in passed_over:
            continue
        try:
            execution.apply(candidate)
            misfits = 0
        except NotIncludable:
            passed_over.add(candidate.sender)
            misfits += 1
            if misfits >= MAX_CONSECUTIVE_MISFITS:
                break
        except InvalidTransaction:
            passed_over.add(candidate.sender)
    outcome = execution.seal()
    return Block(outcome.header, execution.transactions, consensus), outcome
