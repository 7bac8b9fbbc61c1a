"""Making a proposal: what is checked, what it writes down, and how any proposal ends.

    propose ─► notice ─► voting ─► passed ─► time-lock ─► executed | failed
                            ├────► rejected    a third of power said no; the bond is burnt
                            └────► expired     neither; burnt too where less than a third voted at all
    until it is executed: ─► cancelled         by the proposer, or by validators with a third of power

All times follow from the time of the block that takes it in and the parameters then in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.chain.params import format_value
from cybermiles.chain.predeploys import GOVERNANCE, is_reserved
from cybermiles.governance.electorate import enrol, is_seated
from cybermiles.governance.errors import (
    AmountOverBalance,
    AmountOverCap,
    BadClosingTime,
    BondTooLow,
    NothingToRecover,
    NotNewer,
    ProtectedAccount,
    TextTooLong,
    TooEarly,
    TooManyProposals,
)
from cybermiles.governance.holds import lift_hold
from cybermiles.governance.layout import (
    BOND,
    BOND_WORD,
    COUNT,
    COURSE,
    COURSE_WORD,
    DETAILS,
    HEAD,
    HEAD_WORD,
    OPEN,
    OPEN_OF,
    OUTCOME,
    POWERS,
    POWERS_WORD,
    REASON,
    TIMES,
    TIMES_WORD,
    TITLE,
    VERSION,
    Bond,
    Course,
    Head,
    Kind,
    Powers,
    Status,
    Times,
    as_address,
    bond_of,
    course_of,
    drop_item,
    head_of,
    open_ids,
    proposal_slot,
)
from cybermiles.governance.parameters import check_change, value_of
from cybermiles.governance.state import portion
from cybermiles.staking.supply import total_supply
from cybermiles.state.slots import Array, mapping_slot

if TYPE_CHECKING:
    from cybermiles.governance.state import GovernanceState
    from cybermiles.state.slots import ReadStorage
    from cybermiles.types.primitives import Address

MAX_OPEN = 50
"""Members may make theirs beyond it: a bond comes back by a cancel, so a thief with coins could hold all places."""
MAX_OPEN_PER_PROPOSER = 5
MAX_TITLE_BYTES = 128
MAX_REASON_BYTES = 4_096
MAX_NAME_BYTES = 64
MAX_URL_BYTES = 256
FIRST_APP_VERSION = 1
"""Of every chain's first block."""
_U64 = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """What all proposals have."""

    proposer: Address
    bond: int
    """Value that came with the call, in the contract's balance."""
    title: str
    reason: str
    closes: int
    """Time; 0: as early as may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A version of the state transition that all nodes need from a block on."""

    name: str
    version: str
    """Of the software, for people."""
    app_version: int
    at_block: int
    artifact_hash: bytes
    url: str


def propose_signal(state: GovernanceState, motion: Motion) -> int:
    """Take in a question that changes nothing and return its id. Raises the fitting Refusal, as all of these do."""
    return _open(state, Kind.SIGNAL, motion, start_block=0)


def propose_param(state: GovernanceState, motion: Motion, name: str, text: str, from_block: int) -> int:
    """Take in a change of a parameter, which holds from a block on (0: the earliest), and return its id."""
    _limit("name", name, MAX_NAME_BYTES)
    _limit("newValue", text, MAX_NAME_BYTES)
    check_change(state.params, name, text)
    start = _start_block(state, from_block)
    proposal = _open(state, Kind.CHANGE_PARAM, motion, start_block=start)
    details = proposal_slot(proposal) + DETAILS
    old = format_value(value_of(state.params, name))
    for index, part in enumerate((name, old, text)):
        state.storage.store_text(details + index, part)
    return proposal


def propose_upgrade(state: GovernanceState, motion: Motion, upgrade: Upgrade) -> int:
    """Take in an upgrade and return its id."""
    _limit("name", upgrade.name, MAX_NAME_BYTES)
    _limit("version", upgrade.version, MAX_NAME_BYTES)
    _limit("url", upgrade.url, MAX_URL_BYTES)
    current = app_version(state.storage)
    if upgrade.app_version <= current:
        raise NotNewer(current)
    start = _start_block(state, upgrade.at_block)
    proposal = _open(state, Kind.UPGRADE, motion, start_block=start, version=upgrade.app_version)
    details = proposal_slot(proposal) + DETAILS
    for index, part in enumerate((upgrade.name, upgrade.version, upgrade.url)):
        state.storage.store_text(details + index, part)
    state.storage.store(details + 3, int.from_bytes(upgrade.artifact_hash))
    return proposal


def propose_recovery(
    state: GovernanceState, motion: Motion, account: Address, amount: int, root: bytes, evidence: bytes
) -> int:
    """Take in a recovery of `amount` wei from an account for the victims under a Merkle root, and return its id."""
    if is_reserved(account):
        raise ProtectedAccount(account)
    if not amount:
        raise NothingToRecover
    cap = recovery_cap(state)
    if amount > cap:
        raise AmountOverCap(cap, amount)
    balance = state.world.balance(account)
    if amount > balance:
        raise AmountOverBalance(balance, amount)
    proposal = _open(state, Kind.RECOVER_FUNDS, motion, start_block=0)
    details = proposal_slot(proposal) + DETAILS
    state.storage.store_address(details, account)
    state.storage.store(details + 1, amount)
    state.storage.store(details + 2, int.from_bytes(root))
    state.storage.store(details + 3, int.from_bytes(evidence))
    return proposal


def recovery_cap(state: GovernanceState) -> int:
    """Return what one recovery may move. Wei."""
    return portion(total_supply(state.staking), state.params.gov_recovery_cap)


def app_version(storage: ReadStorage) -> int:
    """Return the version of the state transition for the block after a state, from governance's storage there."""
    return storage.load(VERSION) or FIRST_APP_VERSION


def finish(state: GovernanceState, proposal: int, status: Status, outcome: str = "") -> None:
    """End a proposal: it counts and holds nothing any more."""
    head = head_of(state.storage, proposal)
    slot = proposal_slot(proposal)
    if head.holds:
        lift_hold(state, proposal)
    HEAD_WORD.store(state.storage, slot + HEAD, head._replace(status=status, holds=0))
    course = course_of(state.storage, proposal)
    COURSE_WORD.store(state.storage, slot + COURSE, course._replace(ended_block=state.height))
    if outcome:
        state.storage.store_text(slot + OUTCOME, outcome)
    drop_item(state.storage, OPEN, proposal)
    state.storage.add(mapping_slot(OPEN_OF, as_address(head.proposer)), -1)


def settle_bond(state: GovernanceState, proposal: int, *, burn: bool) -> None:
    """Pay the bond back or burn it. Does nothing where that happened before."""
    books = bond_of(state.storage, proposal)
    if not books.bond:
        return
    BOND_WORD.store(state.storage, proposal_slot(proposal) + BOND, books._replace(bond=0))
    proposer = as_address(head_of(state.storage, proposal).proposer)
    if burn:
        state.world.burn(GOVERNANCE, books.bond)
        state.events.emit("BondBurnt", proposal, proposer, books.bond)
        return
    state.world.subtract_balance(GOVERNANCE, books.bond)
    state.world.add_balance(proposer, books.bond)
    state.events.emit("BondReturned", proposal, proposer, books.bond)


def _open(state: GovernanceState, kind: Kind, motion: Motion, *, start_block: int, version: int = 0) -> int:
    _check_motion(state, motion)
    times = _times(state, motion.closes)
    storage = state.storage
    proposal = storage.add(COUNT, 1)
    slot = proposal_slot(proposal)
    snapshot, total = enrol(state, proposal, slot)
    head = Head(kind, Status.VOTING, int.from_bytes(motion.proposer), 0, state.height)
    HEAD_WORD.store(storage, slot + HEAD, head)
    TIMES_WORD.store(storage, slot + TIMES, times)
    POWERS_WORD.store(storage, slot + POWERS, Powers(total, 0))
    BOND_WORD.store(storage, slot + BOND, Bond(0, motion.bond))
    COURSE_WORD.store(storage, slot + COURSE, Course(snapshot, start_block, 0, version, 0))
    storage.store_text(slot + TITLE, motion.title)
    storage.store_text(slot + REASON, motion.reason)
    Array(storage, OPEN).append(proposal)
    storage.add(mapping_slot(OPEN_OF, motion.proposer), 1)
    state.wake_at(times.closes)
    state.events.emit("Proposed", proposal, kind, motion.proposer, motion.title)
    return proposal


def _check_motion(state: GovernanceState, motion: Motion) -> None:
    if motion.bond < state.params.gov_bond:
        raise BondTooLow(state.params.gov_bond)
    if motion.bond > state.params.max_supply:  # a call may pretend to have so much
        raise AmountOverCap(state.params.max_supply, motion.bond)
    _limit("title", motion.title, MAX_TITLE_BYTES)
    _limit("reason", motion.reason, MAX_REASON_BYTES)
    if len(open_ids(state.storage)) >= MAX_OPEN and not is_seated(state.staking, motion.proposer):
        raise TooManyProposals(MAX_OPEN)
    if state.storage.load(mapping_slot(OPEN_OF, motion.proposer)) >= MAX_OPEN_PER_PROPOSER:
        raise TooManyProposals(MAX_OPEN_PER_PROPOSER)


def _times(state: GovernanceState, closes: int) -> Times:
    params, now = state.params, state.time
    opens = now + params.gov_notice_seconds
    earliest, latest = opens + params.gov_voting_seconds, opens + 2 * params.gov_voting_seconds
    closes = closes or earliest
    if not earliest <= closes <= latest:
        raise BadClosingTime(earliest, latest)
    return Times(now, opens, closes, closes + params.gov_timelock_seconds)


def _start_block(state: GovernanceState, wanted: int) -> int:
    earliest = state.height + state.params.gov_delay_blocks
    if wanted and wanted < earliest:
        raise TooEarly(earliest)
    return wanted or earliest


def _limit(field: str, text: str, limit: int) -> None:
    if len(text.encode()) > limit:
        raise TextTooLong(field, limit)
