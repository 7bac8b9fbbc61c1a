"""Leaving: stake waits in one queue until its time, stays liable meanwhile, and is paid without being asked for.

An exit holds wei, not shares: it earns nothing. Slashes for faults of the time when it was behind the candidate's votes
are taken from it when it is paid. The queue is in order of payment: where a vote shortens the waiting time, an exit
is not due before those that were queued earlier.

    undelegate ─► queued (head … tail) ─► due: time ≥ release ─► burn what it owes ─► holder
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.predeploys import STAKING
from cybermiles.staking.errors import TooManyExits
from cybermiles.staking.holdings import slash_count, still_unslashed
from cybermiles.staking.layout import (
    ARRIVAL,
    EXIT_ARRIVAL,
    EXIT_BODY,
    EXIT_HEAD,
    QUEUE,
    as_address,
    delegation_slot,
    exit_slot,
    exits_array,
    exits_view,
    owner_of,
)
from cybermiles.staking.records import (
    ARRIVAL_WORD,
    EXIT_ARRIVAL_WORD,
    EXIT_BODY_WORD,
    EXIT_HEAD_WORD,
    QUEUE_WORD,
    ExitArrival,
    ExitBody,
    ExitHead,
    Queue,
)

if TYPE_CHECKING:
    from cybermiles.staking.holdings import Holding
    from cybermiles.staking.state import StakingState
    from cybermiles.state.slots import ReadStorage, Storage
    from cybermiles.types.primitives import Address

MAX_EXITS = 32
"""Unpaid exits of one account, so that nobody fills the queue with crumbs."""
PAID_PER_BLOCK = 50
"""Exits paid by one block at most; the next one goes on."""


class PaidExit(NamedTuple):
    """What an exit paid."""

    exit_id: int
    holder: Address
    amount: int
    """Wei."""


def queue_exit(state: StakingState, holding: Holding, amount: int, arrived: int) -> tuple[int, int]:
    """Queue `amount` wei that left a holding, `arrived` of them still liable for its source.

    Return the exit's id and time. The caller has taken the amount out of the book and stores the holding after.
    Raises TooManyExits.
    """
    storage = state.storage
    mine = exits_array(storage, holding.holder)
    if len(mine) >= MAX_EXITS:
        raise TooManyExits(MAX_EXITS)
    queue = QUEUE_WORD.load(storage, QUEUE)
    release = state.time + state.params.unbonding_seconds
    if queue.tail > queue.head:
        release = max(release, exit_body(storage, queue.tail).release)
    exit_id = queue.tail + 1
    slot, arrival = exit_slot(exit_id), holding.arrival
    seen = slash_count(storage, holding.candidate)
    place = mine.append(exit_id)
    EXIT_HEAD_WORD.store(storage, slot + EXIT_HEAD, ExitHead(int.from_bytes(holding.holder), amount))
    EXIT_BODY_WORD.store(storage, slot + EXIT_BODY, ExitBody(holding.candidate, state.height, release, seen, place))
    if arrived:
        EXIT_ARRIVAL_WORD.store(
            storage,
            slot + EXIT_ARRIVAL,
            ExitArrival(arrived, arrival.source, arrival.height, arrival.until, arrival.seen),
        )
    QUEUE_WORD.store(storage, QUEUE, Queue(queue.head, exit_id, queue.total + amount))
    holding.arrival = arrival._replace(leaving=arrival.leaving + amount)
    return exit_id, release


def pay_due_exits(state: StakingState) -> list[PaidExit]:
    """Pay the exits whose time has come, the oldest first; return who got how much."""
    storage = state.storage
    paid: list[PaidExit] = []
    queue = QUEUE_WORD.load(storage, QUEUE)
    while queue.head < queue.tail and len(paid) < PAID_PER_BLOCK:
        exit_id = queue.head + 1
        if exit_body(storage, exit_id).release > state.time:
            break
        head, body = exit_head(storage, exit_id), exit_body(storage, exit_id)
        holder = as_address(head.holder)
        amount = payable(storage, exit_id)
        state.burn(head.amount - amount)
        state.owe(-amount)
        state.world.subtract_balance(STAKING, amount)
        state.world.add_balance(holder, amount)
        state.events.emit("ExitPaid", holder, owner_of(storage, body.candidate), exit_id, amount)
        _forget(storage, exit_id, holder, head, body)
        queue = Queue(exit_id, queue.tail, queue.total - head.amount)
        paid.append(PaidExit(exit_id, holder, amount))
    if paid:
        QUEUE_WORD.store(storage, QUEUE, queue)
    return paid


def payable(storage: ReadStorage, exit_id: int) -> int:
    """Return what an exit would pay now: its amount less what it owes for faults. Wei."""
    body, arrival = exit_body(storage, exit_id), EXIT_ARRIVAL_WORD.load(storage, exit_slot(exit_id) + EXIT_ARRIVAL)
    amount = exit_head(storage, exit_id).amount - arrival.amount
    arrived = arrival.amount
    if arrived:
        arrived, _ = still_unslashed(
            storage, arrived, arrival.source, seen=arrival.seen, left=arrival.height, until=arrival.until
        )
    left, _ = still_unslashed(storage, amount + arrived, body.candidate, seen=body.seen, left=body.height)
    return left


def exit_head(storage: ReadStorage, exit_id: int) -> ExitHead:
    """Return whom an exit pays."""
    return EXIT_HEAD_WORD.load(storage, exit_slot(exit_id) + EXIT_HEAD)


def exit_body(storage: ReadStorage, exit_id: int) -> ExitBody:
    """Return what an exit stays liable for, and until when."""
    return EXIT_BODY_WORD.load(storage, exit_slot(exit_id) + EXIT_BODY)


def exits_of(storage: ReadStorage, holder: Address) -> list[int]:
    """Return the ids of an account's unpaid exits."""
    mine = exits_view(storage, holder)
    return [storage.load(mine.slot_of(index)) for index in range(len(mine))]


def _forget(storage: Storage, exit_id: int, holder: Address, head: ExitHead, body: ExitBody) -> None:
    """Clear a paid exit: from its words, the holder's list and what the delegation says is leaving."""
    mine = exits_array(storage, holder)
    if mine.swap_remove(body.slot) != body.slot:
        moved = storage.load(mine.slot_of(body.slot))
        slot = exit_slot(moved) + EXIT_BODY
        EXIT_BODY_WORD.store(storage, slot, EXIT_BODY_WORD.load(storage, slot)._replace(slot=body.slot))
    slot = delegation_slot(holder, body.candidate) + ARRIVAL
    arrival = ARRIVAL_WORD.load(storage, slot)
    ARRIVAL_WORD.store(storage, slot, arrival._replace(leaving=arrival.leaving - head.amount))
    for word in (EXIT_HEAD, EXIT_BODY, EXIT_ARRIVAL):
        storage.store(exit_slot(exit_id) + word, 0)
