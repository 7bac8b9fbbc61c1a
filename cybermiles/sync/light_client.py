"""The light client: from a trusted block to a later one by signatures alone. Pure; `now` is an argument.

    trusted T                                                 untrusted U
    ├── T is older than the trusting period? ─────────────► TrustExpired
    ├── U's parts do not belong together, U is not later
    │   than T, or is of the future? ─────────────────────► InvalidLightBlock
    ├── U = T + 1: U's parent is T, its set is T's next ─► more than two thirds of U's set signed: trusted
    └── U > T + 1: more than `trust_level` of T's next
        set signed U, else NotEnoughTrust ──────────────► the same

Overlap is checked before U's own signatures: a set that a liar made up costs no more than the trusted one does.
`Bisection` asks for the target first and halves the distance where that is not enough. Times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.crypto import ed25519
from cybermiles.errors import ConfigError, InvariantViolation, ProtocolViolation
from cybermiles.types.commit import verify_commit
from cybermiles.types.vote import VoteType, vote_sign_bytes

if TYPE_CHECKING:
    from cybermiles.types.commit import Commit
    from cybermiles.types.light_block import LightBlock
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.validator import ValidatorSet

THIRD = (1, 3)


class InvalidLightBlock(ProtocolViolation):
    """The block can never be accepted from what is trusted; who sent it is to blame unless trust has expired."""


class TrustExpired(ProtocolViolation):
    """The trusted block is older than the trusting period: a newer checkpoint is needed. No fault of a peer."""


class NotEnoughTrust(ProtocolViolation):
    """Too few of the trusted validators signed; a block in between may help."""


class Divergence(ProtocolViolation):
    """Two peers proved two blocks of one height: validators signed both, and one of the peers is part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LightClientOptions:
    """What is accepted."""

    chain_id: int
    genesis_hash: Hash32
    trusting_period: int
    """Seconds; below the unbonding period, after which misbehaviour of old validators costs them nothing."""
    max_clock_drift: int = 10
    """Seconds that a block may be ahead of the local clock."""
    trust_level: tuple[int, int] = THIRD
    """More than this fraction of the trusted set's power must have signed; from 1/3 to 1."""

    def __post_init__(self) -> None:
        numerator, denominator = self.trust_level
        if not (0 < numerator <= denominator <= 3 * numerator):
            raise ConfigError(f"a trust level is a fraction from 1/3 to 1, not {numerator}/{denominator}")
        if self.trusting_period <= 0 or self.max_clock_drift < 0:
            raise ConfigError("the trusting period is positive and the clock drift not negative")


@dataclass(frozen=True, slots=True)
class Trusted:
    """What later blocks are judged by."""

    height: int
    block_hash: Hash32
    timestamp: int
    next_validators: ValidatorSet


def trust(block: LightBlock) -> Trusted:
    """Return the trust that a verified block gives."""
    return Trusted(block.height, block.header.hash, block.header.timestamp, block.next_validators)


def check_consistency(block: LightBlock) -> None:
    """Check that the block's parts belong together; signatures are not looked at. Raises InvalidLightBlock."""
    header, digest, commit = block.header, block.digest, block.commit
    if digest.commitment != header.extra_data:
        raise InvalidLightBlock(f"the header of height {header.height} commits to other consensus fields")
    if block.validators.hash != digest.validators_hash:
        raise InvalidLightBlock(f"the validators of height {header.height} are not those its header names")
    if block.next_validators.hash != digest.next_validators_hash:
        raise InvalidLightBlock(f"the validators after height {header.height} are not those its header names")
    if (commit.height, commit.block_hash) != (header.height, header.hash):
        raise InvalidLightBlock(f"the commit is of another block than that of height {header.height}")
    if len(commit.signatures) != len(block.validators.validators):
        raise InvalidLightBlock(f"the commit of height {header.height} is of another number of validators")


def check_checkpoint(block: LightBlock, height: int, block_hash: Hash32, options: LightClientOptions) -> Trusted:
    """Return the trust in a block whose hash its user configured. Raises InvalidLightBlock for any other block."""
    if (block.height, block.header.hash) != (height, block_hash):
        raise InvalidLightBlock(
            f"the peer's block {block.height} has hash 0x{block.header.hash.hex()}, the checkpoint is "
            f"block {height} 0x{block_hash.hex()}"
        )
    check_consistency(block)
    _check_own_quorum(block, options)
    return trust(block)


def verify_light_block(trusted: Trusted, block: LightBlock, options: LightClientOptions, now: int) -> Trusted:
    """Return the trust in `block`, proven from `trusted`.

    Raises TrustExpired, InvalidLightBlock, and NotEnoughTrust where a block in between may help.
    """
    if trusted.timestamp + options.trusting_period <= now:
        raise TrustExpired(
            f"the trusted block {trusted.height} is {now - trusted.timestamp} s old and the trusting period is "
            f"{options.trusting_period} s: configure a newer checkpoint"
        )
    check_consistency(block)
    header = block.header
    if header.height <= trusted.height:
        raise InvalidLightBlock(f"height {header.height} is not above the trusted {trusted.height}")
    if header.timestamp <= trusted.timestamp:
        raise InvalidLightBlock(f"block {header.height} is not later than the trusted block {trusted.height}")
    if header.timestamp >= now + options.max_clock_drift:
        raise InvalidLightBlock(f"block {header.height} is {header.timestamp - now} s in the future")
    if header.height == trusted.height + 1:
        _check_adjacent(trusted, block)
    else:
        _check_overlap(trusted, block, options)
    _check_own_quorum(block, options)
    return trust(block)


def check_witness(proven: LightBlock, other: LightBlock) -> None:
    """Compare a proven block with another peer's of its height. Raises Divergence: stop, do not pick one."""
    if proven.header.hash != other.header.hash:
        raise Divergence(
            f"peers have two blocks of height {proven.height}, 0x{proven.header.hash.hex()} and "
            f"0x{other.header.hash.hex()}: the chain is under attack or a peer lies; compare with sources you trust"
        )


class Bisection:
    """Finds the way from a trusted block to a target height. Ask for `wanted`, hand it to `supply`."""

    def __init__(self, trusted: Trusted, target: int, options: LightClientOptions) -> None:
        """`target` is above the trusted height."""
        if target <= trusted.height:
            raise InvariantViolation(f"a bisection leads upwards, not from {trusted.height} to {target}")
        self.trusted = trusted
        self.verified: LightBlock | None = None
        """The newest block that was proven."""
        self._pending: list[LightBlock] = []
        """Consistent blocks that lacked trust, lowest last."""
        self._target = target
        self._options = options
        self._middle = target

    @property
    def wanted(self) -> int | None:
        """The height to supply next; None when the target is proven."""
        return None if self.trusted.height == self._target else self._middle

    def supply(self, block: LightBlock, now: int) -> None:
        """Take the wanted block. Raises InvalidLightBlock or TrustExpired; the bisection stays as it was then."""
        if block.height != self.wanted:
            raise InvalidLightBlock(f"height {block.height} was supplied for {self.wanted}")
        queue = [*self._pending, block]
        while queue:
            candidate = queue[-1]
            try:
                self.trusted = verify_light_block(self.trusted, candidate, self._options, now)
            except NotEnoughTrust:
                self._middle = (self.trusted.height + candidate.height) // 2
                self._pending = queue
                return
            except InvalidLightBlock:
                if candidate is not block:  # proven blocks contradict one that waited: its place is asked for again
                    self._pending = queue[:-1]
                    self._middle = candidate.height
                raise
            self.verified = candidate
            queue.pop()
        self._pending = []


def _check_adjacent(trusted: Trusted, block: LightBlock) -> None:
    if block.header.parent_hash != trusted.block_hash:
        raise InvalidLightBlock(f"block {block.height} is not the child of the trusted block {trusted.height}")
    if block.validators != trusted.next_validators:
        raise InvalidLightBlock(f"block {block.height} is of other validators than its parent names")


def _check_overlap(trusted: Trusted, block: LightBlock, options: LightClientOptions) -> None:
    """Check the signatures of whom we know, and that they are enough."""
    known = trusted.next_validators
    sign_bytes = _sign_bytes(block.commit, options)
    power = 0
    for member, signature in zip(block.validators.validators, block.commit.signatures, strict=True):
        ours = known.by_address(member.address)
        if ours is None or signature is None:
            continue
        if not ed25519.verify(ours.consensus_key, sign_bytes, signature):
            raise InvalidLightBlock(f"block {block.height}: wrong signature of {member.address.hex()}")
        power += ours.power
    numerator, denominator = options.trust_level
    if power * denominator <= known.total_power * numerator:
        raise NotEnoughTrust(
            f"block {block.height} is signed by {power} of {known.total_power} trusted power, more than "
            f"{numerator}/{denominator} is needed"
        )


def _check_own_quorum(block: LightBlock, options: LightClientOptions) -> None:
    try:
        verify_commit(block.commit, block.validators, options.chain_id, options.genesis_hash)
    except ProtocolViolation as error:
        raise InvalidLightBlock(f"block {block.height}: {error}") from error


def _sign_bytes(commit: Commit, options: LightClientOptions) -> bytes:
    return vote_sign_bytes(
        options.chain_id, options.genesis_hash, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
    )
