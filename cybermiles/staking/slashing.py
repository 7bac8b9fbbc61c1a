"""Punishment: what a fault costs, and whom.

    double vote   tombstone: barred for ever, out of the next election    double_sign_slash of all stake
    absence       jailed for jail_seconds                                 absence_slash, where slash_absence is 1

A slash takes the same part of every pool, rounded up, and burns it. Stake that left, by an exit or to another
candidate, answers for it later by itself (`exits`, `holdings`): the record of a slash has the height of the fault. A
candidate is punished for double voting once, however many pairs of votes prove it and whoever shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.staking import contenders
from cybermiles.staking.book import close_book, open_book
from cybermiles.staking.holdings import INDEX_SCALE
from cybermiles.staking.layout import (
    SLASH_AMOUNT,
    SLASH_EVIDENCE,
    SLASH_HEAD,
    SLASH_INDEX,
    SLASH_WORDS,
    SLASHES,
    candidate_slot,
    key_use,
    owner_of,
    status_of,
    store_status,
    store_watch,
    watch_of,
)
from cybermiles.staking.records import ACTIVE, JAILED, PPM, SEATED, SLASH_WORD, TOMBSTONED, WITHDRAWN, Slash
from cybermiles.staking.roles import Fault
from cybermiles.staking.signing import forget_absences, note_presence
from cybermiles.staking.state import in_ppm
from cybermiles.state.slots import Array
from cybermiles.types.primitives import ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.staking.state import StakingState
    from cybermiles.types.primitives import Hash32

_LAST_TIME = 2**48 - 1


def note_signers(state: StakingState, height: int, signers: Iterable[tuple[bytes, bool]]) -> None:
    """Take in who voted for the block of `height`, as (consensus address, present); jail whom was absent too often."""
    params = state.params
    for address, present in signers:
        candidate = key_use(state.storage, address).candidate
        if not candidate:
            continue
        flags = status_of(state.storage, candidate).flags
        if flags & (SEATED | ACTIVE | JAILED | TOMBSTONED | WITHDRAWN) != SEATED | ACTIVE:
            continue
        missed = note_presence(state.storage, candidate, height, window=params.absence_window, present=present)
        if missed >= params.max_absences:
            punish_absence(state, candidate, height)


def punish_absence(state: StakingState, candidate: int, height: int) -> None:
    """Jail a candidate, and slash it where absence is slashed."""
    storage, params = state.storage, state.params
    forget_absences(storage, candidate)
    until = min(state.time + params.jail_seconds, _LAST_TIME)
    status = status_of(storage, candidate)
    store_status(storage, candidate, status._replace(flags=status.flags | JAILED))
    store_watch(storage, candidate, watch_of(storage, candidate)._replace(jailed_until=until))
    contenders.refresh(state, candidate)
    ratio = in_ppm(params.absence_slash) if params.slash_absence else 0
    slash(state, candidate, Fault.ABSENCE, ratio=ratio, height=height, evidence=ZERO_HASH)
    state.faults.emit("Jailed", owner_of(storage, candidate), until)


def punish_double_vote(state: StakingState, candidate: int, height: int, evidence: Hash32) -> int | None:
    """Tombstone and slash a candidate; return the wei burnt, None where it is tombstoned already."""
    storage = state.storage
    status = status_of(storage, candidate)
    if status.flags & TOMBSTONED:
        return None
    store_status(storage, candidate, status._replace(flags=status.flags & ~(ACTIVE | JAILED) | TOMBSTONED))
    store_watch(storage, candidate, watch_of(storage, candidate)._replace(jailed_until=0))
    contenders.refresh(state, candidate)
    ratio = in_ppm(state.params.double_sign_slash)
    burnt = slash(state, candidate, Fault.DOUBLE_VOTE, ratio=ratio, height=height, evidence=evidence)
    state.faults.emit("Tombstoned", owner_of(storage, candidate), state.height)
    return burnt


def slash(state: StakingState, candidate: int, fault: Fault, *, ratio: int, height: int, evidence: Hash32) -> int:
    """Burn a part (PPM) of every pool, rounded up, record the punishment and return the wei burnt."""
    storage, slot = state.storage, candidate_slot(candidate)
    book = open_book(storage, candidate)
    burnt = 0
    for index, pool in enumerate(book.pools):
        cut = -(-pool.tokens * ratio // PPM)
        if cut:
            book.cut(index, cut)
            storage.add(slot + SLASH_INDEX + index, cut * INDEX_SCALE // pool.shares)
            burnt += cut
    state.burn(burnt)
    close_book(state, book)
    slashes = Array(storage, slot + SLASHES, SLASH_WORDS)
    record = slashes.slot_of(slashes.grow())
    SLASH_WORD.store(storage, record + SLASH_HEAD, Slash(height, state.height, state.time, ratio, fault))
    storage.store(record + SLASH_AMOUNT, burnt)
    storage.store(record + SLASH_EVIDENCE, int.from_bytes(evidence))
    state.faults.emit("Slashed", owner_of(storage, candidate), fault.value, burnt, height, evidence)
    return burnt
