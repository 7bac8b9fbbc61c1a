"""A proposed block against its parent: everything that can be checked before executing it, then execution.

    check_block = validate_consensus (who decided the parent, who misbehaved) → apply_block (transactions, roots)

Pure functions of the block and its parent: no clock, no round, no configuration. Whether the header time is credible
is the engine's question, because its answer depends on when the block arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import InvalidBlock, InvalidTransaction, InvariantViolation, ProtocolViolation
from cybermiles.execution.block import BlockEnvironment, BlockExecution
from cybermiles.execution.evidence import validate_evidence
from cybermiles.state.trie import ordered_root
from cybermiles.types.commit import EMPTY_COMMIT, verify_commit
from cybermiles.types.primitives import Hash32, Timestamp

if TYPE_CHECKING:
    from cybermiles.execution.begin_block import SignedVote
    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.types.block import Block, ConsensusData
    from cybermiles.types.commit import Commit
    from cybermiles.types.evidence import Misbehaviour

LAST_TIMESTAMP = 2**40 - 1
"""Seconds since 1970: in the year 36 812. Contracts keep times in 48 and 64 bits, and what the longest delay adds must
fit too: the proposer alone chooses a block's time, and one that overflows there would stop every node it is sent to."""
RANDAO_DOMAIN = b"cmt/prev-randao\x00"


def prev_randao(last_commit: Commit) -> Hash32:
    """Return the block's randomness: a hash of the signatures that decided the parent.

    Nobody knows it before the parent is decided. The proposer can bias it: it chooses which signatures beyond the
    quorum it includes, and may sign its own again, so nothing of value may hang on a few bits of it.
    """
    return Hash32(keccak256(RANDAO_DOMAIN + last_commit.hash))


def environment_of(
    parent: Parent, consensus: ConsensusData, timestamp: int, misbehaviour: tuple[Misbehaviour, ...]
) -> BlockEnvironment:
    """Return what a block with these consensus fields must be executed in.

    Raises InvalidBlock when the proposer is not a validator of this height.
    """
    proposer = parent.validators.by_address(consensus.proposer)
    if proposer is None:
        raise InvalidBlock("the proposer is not a validator", got=consensus.proposer.hex())
    return BlockEnvironment(
        timestamp=Timestamp(timestamp),
        coinbase=proposer.operator,
        prev_randao=prev_randao(consensus.last_commit),
        extra_data=consensus.commitment,
        misbehaviour=misbehaviour,
        signed=_signed(parent, consensus.last_commit),
    )


def _signed(parent: Parent, commit: Commit) -> tuple[SignedVote, ...]:
    """Return who was asked to sign the parent and who did. The commit was validated."""
    members = parent.history.validators(parent.header.height)
    if members is None or not commit.signatures:
        return ()
    votes = zip(members.addresses, members.validators, commit.signatures, strict=True)
    return tuple((address, member.power, signature is not None) for address, member, signature in votes)


def check_block(chain: Chain, parent: Parent, block: Block) -> BlockOutcome:
    """Check everything about a block and execute it. Raises InvalidBlock with the first rule that is broken."""
    check_height(parent, block)
    return apply_block(chain, parent, block, validate_consensus(chain, parent, block.consensus))


def check_height(parent: Parent, block: Block) -> None:
    """Check that a block is the parent's next one. Raises InvalidBlock."""
    if block.height != parent.header.height + 1:
        raise InvalidBlock("height", got=block.height, expected=parent.header.height + 1)
    _expect("parent hash", block.header.parent_hash, parent.header.hash)


def validate_consensus(chain: Chain, parent: Parent, consensus: ConsensusData) -> tuple[Misbehaviour, ...]:
    """Check the consensus fields against the parent and return what the evidence proves.

    Raises InvalidBlock with got and expected.
    """
    _expect("validators hash", consensus.validators_hash, parent.validators.hash)
    _expect("next validators hash", consensus.next_validators_hash, parent.next_validators.hash)
    _expect("parameters hash", consensus.parameters_hash, parent.params.hash)
    if consensus.app_version != parent.app_version:
        raise InvalidBlock("application version", got=consensus.app_version, expected=parent.app_version)
    _validate_last_commit(chain, parent, consensus.last_commit)
    return validate_evidence(chain, parent, consensus.evidence)


def _validate_last_commit(chain: Chain, parent: Parent, commit: Commit) -> None:
    if parent.header.height == 0:
        if commit != EMPTY_COMMIT:
            raise InvalidBlock("the first block has no last commit", got=commit.height, expected=0)
        return
    if commit.height != parent.header.height:
        raise InvalidBlock("last commit height", got=commit.height, expected=parent.header.height)
    _expect("last commit block", commit.block_hash, parent.header.hash)
    validators = parent.history.validators(parent.header.height)
    if validators is None:
        raise InvariantViolation(f"the validators of height {parent.header.height} are not known")
    try:
        verify_commit(commit, validators, chain.chain_id, chain.genesis_hash)
    except ProtocolViolation as error:
        raise InvalidBlock(f"last commit: {error}") from error


def apply_block(chain: Chain, parent: Parent, block: Block, misbehaviour: tuple[Misbehaviour, ...]) -> BlockOutcome:
    """Execute a block whose consensus fields were validated and check every root of its header.

    `misbehaviour` is what `validate_consensus` returned. Raises InvalidBlock with the first rule that is broken.
    """
    header = block.header
    _check_header(parent, block)
    environment = environment_of(parent, block.consensus, header.timestamp, misbehaviour)
    execution = BlockExecution(chain, parent, environment)
    for index, transaction in enumerate(block.transactions):
        try:
            execution.apply(transaction)
        except InvalidTransaction as error:
            raise InvalidBlock(f"transaction {index}: {error}") from error
    outcome = execution.seal()
    derived = outcome.header
    for name in ("transactions_root", "receipts_root", "state_root", "logs_bloom"):
        _expect(name.replace("_", " "), getattr(header, name), getattr(derived, name))
    if header.gas_used != derived.gas_used:
        raise InvalidBlock("gas used", got=header.gas_used, expected=derived.gas_used)
    _expect("block hash", header.hash, derived.hash)
    return outcome


def is_genuine(block: Block) -> bool:
    """Whether the header commits to this very body, so that nobody can have put another one under its hash."""
    header = block.header
    is_body = header.transactions_root == ordered_root([transaction.raw for transaction in block.transactions])
    return is_body and header.extra_data == block.consensus.commitment


def _check_header(parent: Parent, block: Block) -> None:
    check_height(parent, block)
    header = block.header
    if header.timestamp <= parent.header.timestamp:
        raise InvalidBlock(f"timestamp {header.timestamp} is not after the parent's {parent.header.timestamp}")
    if header.timestamp > LAST_TIMESTAMP:
        raise InvalidBlock(f"timestamp {header.timestamp} is after the last one, {LAST_TIMESTAMP}")
    if header.gas_limit != parent.params.block_gas_limit:
        raise InvalidBlock("gas limit", got=header.gas_limit, expected=parent.params.block_gas_limit)
    _expect("extra data", header.extra_data, block.consensus.commitment)


def _expect(what: str, got: bytes, expected: bytes) -> None:
    if got != expected:
        raise InvalidBlock(what, got=got.hex(), expected=expected.hex())
