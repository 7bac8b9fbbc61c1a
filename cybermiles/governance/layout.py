"""Where each word of governance lies in the storage of its contract, as docs/spec/storage-layout.md has it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from cybermiles.state.slots import Array, ArrayView, Packed, mapping_slot
from cybermiles.types.primitives import Address

if TYPE_CHECKING:
    from cybermiles.state.slots import ReadStorage, Storage

# Declared slots

COUNT = 0
OPEN = 1
NEXT_DUE = 2
PROPOSALS = 3
OPEN_OF = 4
HELD = 5
HOLDS = 6
CHANGED_PARAMS = 7
PARAM_CHANGES = 8
PARAM_POINTS = 9
RECOVERIES = 10
RECOVERIES_HEAD = 11
VAULTS = 12
CLAIMS = 13
VAULT_QUEUE = 14
VAULT_HEAD = 15
VERSION = 16

# Words of a proposal, from its first slot

HEAD = 0
TIMES = 1
VOTES = 2
POWERS = 3
BOND = 4
COURSE = 5
TITLE = 6
REASON = 7
OUTCOME = 8
MEMBERS = 9
MEMBER_OF = 10
BALLOTS = 11
DETAILS = 12
"""What the kind says: recovery (from, amount, root, evidence), parameter (name, old, new), upgrade (name, version, url,
artifact hash); one slot each."""

MEMBER_WORDS = 2


class Kind(IntEnum):
    """The ABI's Kind."""

    NONE = 0
    RECOVER_FUNDS = 1
    CHANGE_PARAM = 2
    UPGRADE = 3
    SIGNAL = 4


class Status(IntEnum):
    """The ABI's Status. NOTICE is never stored: it is VOTING before the votes open."""

    NONE = 0
    NOTICE = 1
    VOTING = 2
    PASSED = 3
    REJECTED = 4
    EXPIRED = 5
    CANCELLED = 6
    EXECUTED = 7
    FAILED = 8

    @property
    def is_open(self) -> bool:
        """Whether something may still happen."""
        return self in (Status.NOTICE, Status.VOTING, Status.PASSED)


class Choice(IntEnum):
    """The ABI's Choice."""

    NONE = 0
    YES = 1
    NO = 2


class Head(NamedTuple):
    """What most operations look at."""

    kind: int
    status: int
    proposer: int
    holds: int
    """1 while it counts among what freezes its account."""
    created_block: int


class Times(NamedTuple):
    """Seconds since 1970; fixed when the proposal is made."""

    created: int
    opens: int
    closes: int
    executes: int


class Votes(NamedTuple):
    """The tally. Wei of power."""

    yes: int
    no: int


class Powers(NamedTuple):
    """Wei of power."""

    total: int
    support: int
    """Of validators for freezing."""


class Bond(NamedTuple):
    """Wei of power against, and the deposit that is still here."""

    cancel: int
    bond: int


class Course(NamedTuple):
    """What the rest of its life depends on."""

    snapshot: int
    """Of stake."""
    start_block: int
    """First block that a change or an upgrade holds in."""
    ended_block: int
    app_version: int
    supporters: int
    """Validators for freezing."""


class Member(NamedTuple):
    """A validator of the snapshot."""

    owner: int
    candidate: int
    choice: int
    supports: int
    cancels: int


class Weight(NamedTuple):
    """Power of a member and what of it delegators vote with themselves. Wei."""

    power: int
    overridden: int


class Ballot(NamedTuple):
    """Somebody's vote."""

    choice: int
    block: int
    power: int


class Hold(NamedTuple):
    """An account's freezes."""

    holders: int
    """Proposals that hold it."""
    since: int
    """Time; 0 while it is not frozen."""
    until: int
    """Time at which it ends, whatever the proposals do."""
    used: int
    """Seconds of the freezes before this one."""


class Vault(NamedTuple):
    """Recovered funds."""

    recovered: int
    claimed: int


class VaultTerm(NamedTuple):
    """Until when victims may claim."""

    closes: int
    closed: int


class ParamPoint(NamedTuple):
    """A value and the first block that it holds in."""

    from_block: int
    denominator: int
    numerator: int


class Moved(NamedTuple):
    """An executed recovery, for the cap of 30 days."""

    time: int
    amount: int


HEAD_WORD = Packed(Head, kind=8, status=8, proposer=160, holds=8, created_block=64)
TIMES_WORD = Packed(Times, created=64, opens=64, closes=64, executes=64)
VOTES_WORD = Packed(Votes, yes=128, no=128)
POWERS_WORD = Packed(Powers, total=128, support=128)
BOND_WORD = Packed(Bond, cancel=128, bond=128)
COURSE_WORD = Packed(Course, snapshot=32, start_block=64, ended_block=64, app_version=32, supporters=32)
MEMBER_WORD = Packed(Member, owner=160, candidate=32, choice=8, supports=8, cancels=8)
WEIGHT_WORD = Packed(Weight, power=128, overridden=128)
BALLOT_WORD = Packed(Ballot, choice=8, block=64, power=128)
HOLD_WORD = Packed(Hold, holders=32, since=64, until=64, used=64)
VAULT_WORD = Packed(Vault, recovered=128, claimed=128)
VAULT_TERM_WORD = Packed(VaultTerm, closes=64, closed=8)
PARAM_POINT_WORD = Packed(ParamPoint, from_block=64, denominator=32, numerator=160)
MOVED_WORD = Packed(Moved, time=64, amount=128)


def proposal_slot(proposal: int) -> int:
    """Return the first slot of a proposal."""
    return mapping_slot(PROPOSALS, proposal)


def details_slot(proposal: int) -> int:
    """Return the first slot of what a proposal's kind says."""
    return mapping_slot(PROPOSALS, proposal) + DETAILS


def head_of(storage: ReadStorage, proposal: int) -> Head:
    """Return a proposal's first word; kind 0 where there is no such proposal."""
    return HEAD_WORD.load(storage, proposal_slot(proposal))


def times_of(storage: ReadStorage, proposal: int) -> Times:
    """Return a proposal's times."""
    return TIMES_WORD.load(storage, proposal_slot(proposal) + TIMES)


def votes_of(storage: ReadStorage, proposal: int) -> Votes:
    """Return a proposal's tally."""
    return VOTES_WORD.load(storage, proposal_slot(proposal) + VOTES)


def powers_of(storage: ReadStorage, proposal: int) -> Powers:
    """Return a proposal's total and supporting power."""
    return POWERS_WORD.load(storage, proposal_slot(proposal) + POWERS)


def bond_of(storage: ReadStorage, proposal: int) -> Bond:
    """Return a proposal's bond and the power against it."""
    return BOND_WORD.load(storage, proposal_slot(proposal) + BOND)


def course_of(storage: ReadStorage, proposal: int) -> Course:
    """Return a proposal's course."""
    return COURSE_WORD.load(storage, proposal_slot(proposal) + COURSE)


def open_ids(storage: ReadStorage) -> list[int]:
    """Return the ids of the proposals that are not over, ascending."""
    view = ArrayView(storage, OPEN)
    return sorted(storage.load(view.slot_of(index)) for index in range(len(view)))


def members_view(storage: ReadStorage, proposal: int) -> ArrayView:
    """Return a proposal's members, two words each."""
    return ArrayView(storage, proposal_slot(proposal) + MEMBERS, MEMBER_WORDS)


def member_slot(storage: ReadStorage, proposal: int, owner: Address) -> int:
    """Return the first slot of the member that an account owned, 0 where it owned none."""
    place = storage.load(mapping_slot(proposal_slot(proposal) + MEMBER_OF, owner))
    return members_view(storage, proposal).slot_of(place - 1) if place else 0


def ballot_slot(proposal: int, voter: Address) -> int:
    """Return the slot of somebody's vote."""
    return mapping_slot(proposal_slot(proposal) + BALLOTS, voter)


def hold_of(storage: ReadStorage, account: Address) -> Hold:
    """Return an account's freezes."""
    return HOLD_WORD.load(storage, mapping_slot(HOLDS, account))


def held_view(storage: ReadStorage) -> ArrayView:
    """Return the list of frozen accounts."""
    return ArrayView(storage, HELD)


def vault_slot(proposal: int) -> int:
    """Return the first slot of a proposal's vault: `Vault`, then `VaultTerm`."""
    return mapping_slot(VAULTS, proposal)


def drop_item(storage: Storage, slot: int, word: int) -> None:
    """Remove the item of a list of single words that has this value; the last one takes its place."""
    items = Array(storage, slot)
    for index in range(len(items)):
        if storage.load(items.slot_of(index)) == word:
            items.swap_remove(index)
            return


def as_address(number: int) -> Address:
    """Return the address that a packed field holds."""
    return Address(number.to_bytes(20))
