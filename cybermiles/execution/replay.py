"""A committed block executed again, to watch what its transactions did.

    replay_environment ─► BlockExecution ─► apply(transaction, tracer) … each outcome = the stored one

It is the real transition on the real parent: begin of block, lanes, sponsors and all, so that a trace shows what
happened. Each outcome is compared with the stored one; a difference would be a bug of the node. Evidence was judged
when the block was decided and is only read here.

`calls_of` returns one transaction's calls as a plain tree (`vm.tracing.CallNode`): frames with caller, callee, value,
gas, input, output, error, children and logs. It can be pickled and searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.execution.block import BlockExecution
from cybermiles.execution.validation import environment_of
from cybermiles.state.trie import TrieStateReader, update_root
from cybermiles.types.evidence import decode_evidence, verify_evidence
from cybermiles.vm.tracing import ByteBudget, CallNode, CallRecorder, TraceTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.state.reader import RootUpdate, StateChanges
    from cybermiles.types.block import Block
    from cybermiles.types.evidence import Misbehaviour
    from cybermiles.types.primitives import Hash32
    from cybermiles.vm.tracing import Tracer

__all__ = ["CallNode", "Replay", "TraceTooLarge", "calls_of"]


class Replay:
    """One committed block on its parent. Used once; owned by one thread."""

    def __init__(self, chain: Chain, parent: Parent, block: Block, outcomes: Sequence[TransactionOutcome]) -> None:
        misbehaviour = _misbehaviour(chain, parent, block.consensus.evidence)
        environment = environment_of(parent, block.consensus, block.header.timestamp, misbehaviour)
        self.execution = BlockExecution(chain, parent, environment)
        """Its world is the state between transactions."""
        self.logs = 0
        """Of the transactions executed so far."""
        self._parent = parent
        self._block = block
        self._outcomes = outcomes

    def advance(self, count: int) -> None:
        """Execute the first `count` transactions, unwatched. Raises InvariantViolation as `trace` does."""
        for _ in self.trace(lambda _index: None, last=count):
            pass

    def trace(
        self, tracer_of: Callable[[int], Tracer | None], *, last: int | None = None
    ) -> Iterator[tuple[int, TransactionOutcome]]:
        """Execute transactions up to `last` (not included), and yield (index, outcome) after each.

        `tracer_of` gives each index its tracer. Raises InvariantViolation where the outcome is not the stored one.
        """
        done = len(self.execution.transactions)
        for index, transaction in enumerate(self._block.transactions[done:last], done):
            outcome = self.execution.apply(transaction, tracer_of(index))
            if outcome != self._outcomes[index]:
                raise InvariantViolation(
                    f"replaying transaction {index} of block {self._block.height} gives another result than it had"
                )
            self.logs += len(outcome.receipt.logs)
            yield index, outcome

    def state(self) -> ReplayedState:
        """Return the state between two transactions, as if it had been committed."""
        parent = self._parent
        changes = self.execution.world.changes()
        update = update_root(parent.nodes, parent.state, parent.header.state_root, changes)
        return ReplayedState(parent, changes, update)


class ReplayedState(TrieStateReader):
    """`StateReader` and `NodeReader` of a state that was never committed: a parent's with changes."""

    def __init__(self, parent: Parent, changes: StateChanges, update: RootUpdate) -> None:
        super().__init__(self, self, update.root)
        self._parent = parent
        self._new_codes = changes.codes
        self._new_nodes = update.nodes
        self.written = changes.storage
        """Slots that differ from the parent's."""

    def code(self, code_hash: Hash32) -> bytes:
        """Return the code with this hash."""
        code = self._new_codes.get(code_hash)
        return self._parent.state.code(code_hash) if code is None else code

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        """Return a node of this state's tries."""
        node = self._new_nodes.get((owner, node_hash))
        return self._parent.nodes.node(owner, node_hash) if node is None else node


def calls_of(replay: Replay, index: int, *, max_bytes: int, with_logs: bool = False) -> CallNode:
    """Return the calls of one transaction of a replay that has not come to it yet.

    Raises TraceTooLarge where they would take more than `max_bytes` as JSON.
    """
    replay.advance(index)
    recorder = CallRecorder(ByteBudget(max_bytes), with_logs=with_logs)
    for _ in replay.trace(lambda _index: recorder, last=index + 1):
        pass
    if recorder.root is None:
        raise InvariantViolation(f"transaction {index} left no trace")
    return recorder.root


def _misbehaviour(chain: Chain, parent: Parent, encoded: Sequence[bytes]) -> tuple[Misbehaviour, ...]:
    """Return what a committed block's evidence proves; that it may stand there was checked when it was decided."""
    found = []
    for raw in encoded:
        evidence = decode_evidence(raw)
        members = parent.history.validators(evidence.height)
        if members is None:
            raise InvariantViolation(f"the validators of height {evidence.height} are not known")
        found.append(verify_evidence(evidence, members, chain.chain_id, chain.genesis_hash))
    return tuple(found)
