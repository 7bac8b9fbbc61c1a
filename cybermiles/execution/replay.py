"""A committed block executed again, to watch what its transactions did.

    replay_block ─► BlockExecution ─► apply(transaction, tracer) … each outcome = the stored one

It is the real transition on the real parent: begin of block, lanes, sponsors and all, so that a trace shows what
happened. Each outcome is compared with the stored one; a difference would be a bug of the node. Evidence was judged
when the block was decided and is only read here. Jobs get their replays from `rpc.jobs.JobSource.replay`.

`calls_of` returns one transaction's calls as a plain tree (`vm.tracing.CallNode`): frames with caller, callee, value,
gas, input, output, error, children and logs. It can be pickled and searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cybermiles.errors import InvariantViolation
from cybermiles.execution.block import BlockExecution
from cybermiles.execution.validation import environment_of
from cybermiles.state.trie import TrieStateReader, update_root
from cybermiles.types.evidence import decode_evidence, verify_evidence
from cybermiles.vm.tracing import ByteBudget, CallRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cybermiles.execution.outcome import TransactionOutcome
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.state.reader import NodeReader, RootUpdate, StateChanges, StateReader
    from cybermiles.state.world import WorldState
    from cybermiles.types.block import Block
    from cybermiles.types.evidence import Misbehaviour
    from cybermiles.types.primitives import Hash32
    from cybermiles.types.transaction import Transaction
    from cybermiles.vm.tracing import CallNode, Tracer


class Execution(Protocol):
    """A block in execution, transaction by transaction."""

    @property
    def world(self) -> WorldState:
        """The state between transactions."""
        ...

    def apply(self, transaction: Transaction, tracer: Tracer | None = None) -> TransactionOutcome:
        """Execute the next transaction."""
        ...


class Origin(Protocol):
    """The state that a block is executed on: `execution.parent.Parent` is one."""

    @property
    def state(self) -> StateReader:
        """Accounts, storage, code."""
        ...

    @property
    def nodes(self) -> NodeReader:
        """Its tries' nodes."""
        ...

    @property
    def state_root(self) -> Hash32:
        """Its root."""
        ...


class Replay:
    """One committed block in execution again. Used once; owned by one thread."""

    def __init__(
        self,
        execution: Execution,
        origin: Origin,
        height: int,
        transactions: Sequence[Transaction],
        outcomes: Sequence[TransactionOutcome],
    ) -> None:
        self.logs = 0
        """Of the transactions executed so far."""
        self.transactions = transactions
        """The block's."""
        self._execution = execution
        self._origin = origin
        self._height = height
        self._outcomes = outcomes
        self._done = 0

    @property
    def world(self) -> WorldState:
        """The state between transactions."""
        return self._execution.world

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
        for index, transaction in enumerate(self.transactions[self._done : last], self._done):
            outcome = self._execution.apply(transaction, tracer_of(index))
            self._done += 1
            if outcome != self._outcomes[index]:
                raise InvariantViolation(
                    f"replaying transaction {index} of block {self._height} gives another result than it had"
                )
            self.logs += len(outcome.receipt.logs)
            yield index, outcome

    def state(self) -> ReplayedState:
        """Return the state between two transactions, as if it had been committed."""
        origin, changes = self._origin, self.world.changes()
        update = update_root(origin.nodes, origin.state, origin.state_root, changes)
        return ReplayedState(origin, changes, update)


class ReplayedState(TrieStateReader):
    """`StateReader` and `NodeReader` of a state that was never committed: a parent's with changes."""

    def __init__(self, parent: Origin, changes: StateChanges, update: RootUpdate) -> None:
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


def replay_block(chain: Chain, parent: Parent, block: Block, outcomes: Sequence[TransactionOutcome]) -> Replay:
    """Return the replay of a committed block of this chain, before its first transaction."""
    misbehaviour = _misbehaviour(chain, parent, block.consensus.evidence)
    environment = environment_of(parent, block.consensus, block.header.timestamp, misbehaviour)
    execution = BlockExecution(chain, parent, environment)
    return Replay(execution, parent, block.height, block.transactions, outcomes)


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
