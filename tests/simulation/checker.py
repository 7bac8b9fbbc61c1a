"""The invariants of a schedule, checked on every event. One checker sees all nodes of a run.

    agreement            no two correct nodes decide different blocks at a height
    validity             a decided block was proposed, and accepted by a correct application
    integrity            a node decides a height once, and heights in order
    lock rule            a correct validator that precommitted a block prevotes another one only after a newer polka
    precommit rule       a correct precommit for a block rests on a polka of that very round
    proposal rule        a correct proposal that names a polka round rests on a polka of that block there
    no self-equivocation a correct key signs one message per height, round and step, over all its lives
    lock memory          what the core says is locked is its key's last precommit for a block, no more and no less
    application hashes   equal heights have equal hashes
    evidence             names only liars, and verifies
    certificates         of a decision verify and hold a quorum
    bounded memory       the core keeps few rounds, whatever is sent to it

Votes are learned where they are signed, so a polka is one as soon as its votes exist anywhere.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cybermiles.types.vote import Vote, VoteType, vote_sign_bytes
from tests.simulation import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from cybermiles.types.commit import Commit
    from cybermiles.types.evidence import DuplicateVote
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.validator import ValidatorSet


class Violation(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, detail: str) -> None:
        super().__init__(f"{invariant}: {detail}")
        self.invariant = invariant


class Checker:
    """Told of everything signed, accepted and decided; raises Violation."""

    def __init__(self, validators: ValidatorSet, liars: Iterable[bytes]) -> None:
        self.validators = validators
        self.liars = frozenset(liars)
        self._power = {member.address: member.power for member in validators.validators}
        self._index = {member.address: index for index, member in enumerate(validators.validators)}
        self._votes: dict[tuple[bytes, int, int, int], bytes | None] = {}
        self._proposals: dict[tuple[bytes, int, int], tuple[bytes, int]] = {}
        self._prevotes: defaultdict[tuple[int, int, bytes | None], set[bytes]] = defaultdict(set)
        self._locks: dict[tuple[bytes, int], list[tuple[int, bytes]]] = defaultdict(list)
        self._proposed: set[tuple[int, bytes]] = set()
        self._accepted: set[tuple[int, bytes]] = set()
        self.decisions: dict[int, bytes] = {}
        self._heights: dict[int, int] = {}
        self._app_hashes: dict[int, bytes] = {}
        self.evidence: set[bytes] = set()
        self.violation: Violation | None = None
        """The first one; whoever swallows the exception does not swallow this."""
        self.on_violation: Callable[[], None] = lambda: None

    def fail(self, invariant: str, detail: str) -> NoReturn:
        """Raise Violation."""
        violation = Violation(invariant, detail)
        if self.violation is None:
            self.violation = violation
            self.on_violation()
        raise violation

    # ---- what is signed

    def vote_signed(self, vote: Vote) -> None:
        """A key signed a vote, published or not."""
        if vote.type is VoteType.PREVOTE:
            self._prevotes[vote.height, vote.round, vote.block_hash].add(vote.validator)
        if vote.validator in self.liars:
            return
        key = (vote.validator, vote.type, vote.height, vote.round)
        if key in self._votes and self._votes[key] != vote.block_hash:
            self.fail("no self-equivocation", f"{self._name(vote.validator)} signed twice: {_show(vote)}")
        if key in self._votes:
            return
        self._votes[key] = vote.block_hash
        if vote.block_hash is not None:
            self._check_lock(vote) if vote.type is VoteType.PREVOTE else self._take_lock(vote)

    def _check_lock(self, vote: Vote) -> None:
        locks = [lock for lock in self._locks[vote.validator, vote.height] if lock[0] < vote.round]
        if not locks:
            return
        locked_round, locked = max(locks)
        if locked != vote.block_hash and not any(
            self.has_polka(vote.height, round_, vote.block_hash) for round_ in range(locked_round, vote.round)
        ):
            self.fail(
                "lock rule",
                f"{self._name(vote.validator)} is locked on {locked.hex()[:8]} since round {locked_round}, "
                f"no newer polka exists, and it signed {_show(vote)}",
            )

    def _take_lock(self, vote: Vote) -> None:
        if not self.has_polka(vote.height, vote.round, vote.block_hash):
            self.fail("precommit rule", f"{self._name(vote.validator)} signed {_show(vote)} without a polka")
        self._locks[vote.validator, vote.height].append((vote.round, vote.block_hash))

    def proposal_signed(self, proposal: SignedProposal, validator: bytes) -> None:
        """A key signed a proposal."""
        self._proposed.add((proposal.height, proposal.block_hash))
        if validator in self.liars:
            return
        content = (proposal.block_hash, proposal.pol_round)
        if self._proposals.setdefault((validator, proposal.height, proposal.round), content) != content:
            self.fail(
                "no self-equivocation", f"{self._name(validator)} proposed twice in {proposal.height}/{proposal.round}"
            )
        if proposal.pol_round >= 0 and not self.has_polka(proposal.height, proposal.pol_round, proposal.block_hash):
            self.fail("proposal rule", f"{self._name(validator)} named a polka that does not exist")

    def has_polka(self, height: int, round_: int, block_hash: bytes | None) -> bool:
        """Whether prevotes of a quorum for this block exist anywhere."""
        signers = self._prevotes.get((height, round_, block_hash), ())
        return 3 * sum(self._power[address] for address in signers) > 2 * self.validators.total_power

    # ---- what applications say

    def block_accepted(self, height: int, block_hash: bytes) -> None:
        """A correct node's application built or accepted a block."""
        self._accepted.add((height, block_hash))

    def committed(self, height: int, app_hash: bytes) -> None:
        """A node's state after a height."""
        if self._app_hashes.setdefault(height, app_hash) != app_hash:
            self.fail("application hashes", f"two hashes after height {height}")

    # ---- what is decided

    def decided(self, node: int, commit: Commit) -> None:
        """A correct node made a decision durable."""
        height, block_hash = commit.height, commit.block_hash
        if self.decisions.setdefault(height, block_hash) != block_hash:
            self.fail(
                "agreement",
                f"node {node} decided {block_hash.hex()[:8]} at height {height}, another {self.decisions[height].hex()[:8]}",
            )
        if height != self._heights.get(node, 0) + 1:
            self.fail("integrity", f"node {node} decided {height} after {self._heights.get(node, 0)}")
        self._heights[node] = height
        if (height, block_hash) not in self._proposed or (height, block_hash) not in self._accepted:
            self.fail("validity", f"node {node} decided a block at {height} that nobody proposed and accepted")
        self._check_commit(node, commit)

    def _check_commit(self, node: int, commit: Commit) -> None:
        message = vote_sign_bytes(
            keys.CHAIN_ID, keys.GENESIS_HASH, VoteType.PRECOMMIT, commit.height, commit.round, commit.block_hash
        )
        members = self.validators.validators
        power = sum(
            member.power for member, signature in zip(members, commit.signatures, strict=True) if signature is not None
        )
        if 3 * power <= 2 * self.validators.total_power:
            self.fail("certificates", f"node {node} decided {commit.height} with {power} power")
        for member, signature in zip(members, commit.signatures, strict=True):
            if signature is not None and not keys.verify(member.consensus_key, message, signature):
                self.fail("certificates", f"node {node}: a wrong signature in the commit of {commit.height}")

    def height_of(self, node: int) -> int:
        """Return the last height a node decided."""
        return self._heights.get(node, 0)

    # ---- evidence and the core's insides

    def equivocation_reported(self, node: int, evidence: DuplicateVote) -> None:
        """A correct node accuses somebody."""
        if evidence.validator not in self.liars:
            self.fail("evidence", f"node {node} accuses the honest {self._name(evidence.validator)}")
        first, second = evidence.first, evidence.second
        same = (first.type, first.height, first.round, first.validator) == (
            second.type, second.height, second.round, second.validator,
        )  # fmt: skip
        member = self.validators.by_address(evidence.validator)
        signed = member is not None and all(
            keys.verify(member.consensus_key, v.sign_bytes(keys.CHAIN_ID, keys.GENESIS_HASH), v.signature)
            for v in (first, second)
        )
        if not same or first.block_hash == second.block_hash or not signed:
            self.fail("evidence", f"node {node} made evidence that proves nothing")
        self.evidence.add(evidence.hash)

    def core_handled(self, node: int, address: bytes, engine) -> None:
        """A core took an input; what it holds must agree with what its key signed, or is about to sign."""
        height, locked, valid = engine.height, engine.locked, engine.valid
        last = self._last_lock(address, height)
        held = None if locked is None else (locked.round, locked.block_hash)
        is_about_to_sign = held is not None and (last is None or held[0] > last[0]) and self.has_polka(height, *held)
        if held != last and not is_about_to_sign:
            self.fail("lock memory", f"node {node} is locked on {_pair(held)}, its key on {_pair(last)}")
        if locked is not None and (valid is None or valid.round < locked.round):
            self.fail("lock memory", f"node {node}: the valid value is older than the lock")
        if valid is not None and not self.has_polka(height, valid.round, valid.block_hash):
            self.fail("lock memory", f"node {node} holds a valid value without a polka")

    def core_settled(self, node: int, address: bytes, engine) -> None:
        """A voting core's effects are all performed, so nothing is about to be signed any more."""
        last = self._last_lock(address, engine.height)
        held = None if engine.locked is None else (engine.locked.round, engine.locked.block_hash)
        if held != last:
            self.fail("lock memory", f"node {node} is locked on {_pair(held)}, but its key on {_pair(last)}")

    def _last_lock(self, address: bytes, height: int) -> tuple[int, bytes] | None:
        locks = self._locks.get((address, height))
        return max(locks) if locks else None

    def memory(self, node: int, kept_rounds: int, round_: int) -> None:
        """The core keeps votes of this many rounds while it is in `round_`."""
        if kept_rounds > round_ + 2 + 2 * len(self._power):
            self.fail("bounded memory", f"node {node} keeps {kept_rounds} rounds in round {round_}")

    def _name(self, address: bytes) -> str:
        return f"validator {self._index.get(address, address.hex())}"


def _show(vote: Vote) -> str:
    value = "nil" if vote.block_hash is None else vote.block_hash.hex()[:8]
    return f"{vote.type.name.lower()} {vote.height}/{vote.round} {value}"


def _pair(lock) -> str:
    return "nothing" if lock is None else f"{lock[1].hex()[:8]} of round {lock[0]}"
