"""Governance at 0x…434D04: ABI values in, rules of `cybermiles.governance`, ABI values out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cybermiles.chain.params import PARAM_SPECS, format_value
from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.governance import proposals, recovery, voting
from cybermiles.governance.electorate import elected_count
from cybermiles.governance.errors import PageTooLong, UnknownParam, UnknownProposal
from cybermiles.governance.holds import frozen_accounts
from cybermiles.governance.layout import (
    BALLOT_WORD,
    COUNT,
    OUTCOME,
    REASON,
    TITLE,
    VAULT_TERM_WORD,
    VAULT_WORD,
    Kind,
    Status,
    as_address,
    ballot_slot,
    bond_of,
    course_of,
    details_slot,
    head_of,
    hold_of,
    members_view,
    open_ids,
    powers_of,
    proposal_slot,
    times_of,
    vault_slot,
    votes_of,
)
from cybermiles.governance.parameters import FIXED, point_at, points_view, value_of
from cybermiles.governance.proposals import Motion, Upgrade, app_version
from cybermiles.governance.state import governance_state
from cybermiles.state.slots import ReadStorage
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import SystemContract

if TYPE_CHECKING:
    from cybermiles.governance.state import GovernanceState
    from cybermiles.system.dispatch import Call
    from cybermiles.types.primitives import Address

MAX_PAGE = 100
MAX_PROPOSALS_PAGE = 20
_PROPOSAL_ITEMS = 5
"""A proposal with its texts counts as so many items of a list."""


MEMBER_COMPUTE_UNITS = 60
"""Writing one member down under a proposal."""
VOTER_COMPUTE_UNITS = 50
"""Looking whether a voter delegates to one member, and counting it."""


class ProposalView(NamedTuple):
    """The ABI's ProposalView."""

    id: int
    kind: int
    status: int
    proposer: Address
    created_block: int
    created_time: int
    opens_time: int
    closes_time: int
    executes_time: int
    executed_block: int
    yes_power: int
    no_power: int
    total_power: int
    support_power: int
    cancel_power: int
    bond: int
    holds_funds: bool
    title: str
    reason: str
    outcome: str


class RecoveryView(NamedTuple):
    """The ABI's Recovery."""

    account: Address
    amount: int
    victims_root: bytes
    evidence_hash: bytes


class UpgradeView(NamedTuple):
    """The ABI's Upgrade."""

    name: str
    version: str
    app_version: int
    at_block: int
    artifact_hash: bytes
    url: str


def propose_recovery(call: Call, terms: tuple[Address, int, bytes, bytes], title: str, reason: str, closes: int) -> int:
    """See the ABI, as for all of these."""
    return proposals.propose_recovery(_state(call), _motion(call, title, reason, closes), *terms)


def propose_param(  # noqa: PLR0913, PLR0917  (the ABI's arguments)
    call: Call, name: str, value: str, from_block: int, title: str, reason: str, closes: int
) -> int:
    """Change a parameter."""
    return proposals.propose_param(_state(call), _motion(call, title, reason, closes), name, value, from_block)


def propose_upgrade(
    call: Call, terms: tuple[str, str, int, int, bytes, str], title: str, reason: str, closes: int
) -> int:
    """Go to another version."""
    name, version, number, at_block, artifact_hash, url = terms
    upgrade = Upgrade(
        name=name, version=version, app_version=number, at_block=at_block, artifact_hash=artifact_hash, url=url
    )
    return proposals.propose_upgrade(_state(call), _motion(call, title, reason, closes), upgrade)


def propose_signal(call: Call, title: str, reason: str, closes: int) -> int:
    """Ask."""
    return proposals.propose_signal(_state(call), _motion(call, title, reason, closes))


def vote(call: Call, proposal: int, choice: int) -> None:
    """Vote."""
    call.charge_time(VOTER_COMPUTE_UNITS * len(members_view(call.storage, proposal)))
    voting.vote(_state(call), proposal, call.sender, choice)


def support_hold(call: Call, proposal: int) -> None:
    """Support a freeze."""
    voting.support_hold(_state(call), proposal, call.sender)


def cancel(call: Call, proposal: int) -> None:
    """Cancel, or support it."""
    voting.cancel(_state(call), proposal, call.sender)


def claim(call: Call, proposal: int, victim: Address, amount: int, proof: tuple[bytes, ...]) -> int:
    """Pay a victim."""
    return recovery.claim(_state(call), proposal, victim, amount, proof)


def proposal_count(call: Call) -> int:
    """Proposals ever made."""
    return call.storage.load(COUNT)


def proposal(call: Call, id_: int) -> ProposalView:
    """One proposal."""
    _kind(call, id_)
    call.charge_items(_PROPOSAL_ITEMS)
    return _view(call, id_)


def list_proposals(call: Call, offset: int, limit: int) -> list[ProposalView]:
    """A page of all."""
    if limit > MAX_PROPOSALS_PAGE:
        raise PageTooLong(MAX_PROPOSALS_PAGE)
    count = call.storage.load(COUNT)
    ids = range(min(offset, count) + 1, min(offset + limit, count) + 1)
    call.charge_items(_PROPOSAL_ITEMS * len(ids))
    return [_view(call, id_) for id_ in ids]


def open_proposals(call: Call) -> list[int]:
    """Ids of those that are not over."""
    ids = open_ids(call.storage)
    call.charge_items(len(ids))
    return ids


def recovery_of(call: Call, id_: int) -> RecoveryView:
    """What a recovery says."""
    _kind(call, id_, Kind.RECOVER_FUNDS)
    storage, slot = call.storage, details_slot(id_)
    root, evidence = (storage.load(slot + index).to_bytes(32) for index in (2, 3))
    return RecoveryView(storage.load_address(slot), storage.load(slot + 1), root, evidence)


def param_change(call: Call, id_: int) -> tuple[str, str, str, int]:
    """What a change of a parameter says."""
    _kind(call, id_, Kind.CHANGE_PARAM)
    name, old, new = (call.storage.load_text(details_slot(id_) + index) for index in range(3))
    return name, old, new, course_of(call.storage, id_).start_block


def upgrade(call: Call, id_: int) -> UpgradeView:
    """What an upgrade says."""
    _kind(call, id_, Kind.UPGRADE)
    storage, slot = call.storage, details_slot(id_)
    name, version, url = (storage.load_text(slot + index) for index in range(3))
    course = course_of(storage, id_)
    artifact = storage.load(slot + 3).to_bytes(32)
    return UpgradeView(name, version, course.app_version, course.start_block, artifact, url)


def vote_of(call: Call, id_: int, voter: Address) -> tuple[int, int, int]:
    """Somebody's vote, as it was counted when it was cast."""
    ballot = BALLOT_WORD.load(call.storage, ballot_slot(id_, voter))
    return ballot.choice, ballot.power, ballot.block


def vault(call: Call, id_: int) -> tuple[int, int, int, bool]:
    """Recovered funds."""
    funds = VAULT_WORD.load(call.storage, vault_slot(id_))
    term = VAULT_TERM_WORD.load(call.storage, vault_slot(id_) + 1)
    return funds.recovered, funds.claimed, term.closes, bool(term.closed)


def is_claimed(call: Call, id_: int, victim: Address, amount: int) -> bool:
    """Whether a listed victim was paid."""
    return bool(call.storage.load(recovery.claim_slot(id_, recovery.leaf_of(victim, amount))))


def held(call: Call, account: Address) -> tuple[bool, int, int, int]:
    """An account's freezes."""
    hold = hold_of(call.storage, account)
    return call.context.timestamp < hold.until, hold.since, hold.until, hold.used


def held_accounts(call: Call) -> tuple[Address, ...]:
    """Who is frozen now or from the next block on."""
    accounts = frozen_accounts(call.storage, call.context.timestamp)
    call.charge_items(len(accounts))
    return accounts


def param(call: Call, name: str) -> tuple[str, str, str, str, bool]:
    """A parameter in force in this block."""
    spec = PARAM_SPECS.get(name)
    if spec is None:
        raise UnknownParam(_short(name))
    value = value_of(call.context.params, name)
    least, most = format_value(spec.minimum), format_value(spec.maximum)
    return format_value(value), spec.unit, least, most, name not in FIXED


def param_names(call: Call) -> list[str]:
    """All parameters."""
    call.charge_items(len(PARAM_SPECS))
    return list(PARAM_SPECS)


def param_history(call: Call, name: str, offset: int, limit: int) -> list[tuple[int, str]]:
    """A parameter's changes since genesis."""
    if limit > MAX_PAGE:
        raise PageTooLong(MAX_PAGE)
    if name not in PARAM_SPECS:
        raise UnknownParam(_short(name))
    points = points_view(call.storage, name)
    page = points.page(offset, limit)
    call.charge_items(len(page))
    typed = type(PARAM_SPECS[name].minimum)
    history = (point_at(call.storage, points, index) for index in page)
    return [(block, format_value(typed(value))) for block, value in history]


def version(call: Call) -> int:
    """The version of the state transition that the next block needs."""
    return app_version(call.storage)


def _state(call: Call) -> GovernanceState:
    context = call.context
    return governance_state(call.world, context.params, height=context.height, time=context.timestamp, events=call)


def _motion(call: Call, title: str, reason: str, closes: int) -> Motion:
    call.charge_time(MEMBER_COMPUTE_UNITS * elected_count(ReadStorage(call.world, STAKING)))
    return Motion(proposer=call.sender, bond=call.value, title=title, reason=reason, closes=closes)


def _kind(call: Call, id_: int, wanted: Kind = Kind.NONE) -> None:
    kind = head_of(call.storage, id_).kind
    if not kind or wanted not in (Kind.NONE, kind):
        raise UnknownProposal(id_)


def _view(call: Call, id_: int) -> ProposalView:
    storage, slot = call.storage, proposal_slot(id_)
    head, times, votes = head_of(storage, id_), times_of(storage, id_), votes_of(storage, id_)
    powers, books = powers_of(storage, id_), bond_of(storage, id_)
    status = head.status
    if status == Status.VOTING and call.context.timestamp < times.opens:
        status = Status.NOTICE
    return ProposalView(
        id=id_,
        kind=head.kind,
        status=status,
        proposer=as_address(head.proposer),
        created_block=head.created_block,
        created_time=times.created,
        opens_time=times.opens,
        closes_time=times.closes,
        executes_time=times.executes,
        executed_block=course_of(storage, id_).ended_block,
        yes_power=votes.yes,
        no_power=votes.no,
        total_power=powers.total,
        support_power=powers.support,
        cancel_power=books.cancel,
        bond=books.bond,
        holds_funds=bool(head.holds),
        title=storage.load_text(slot + TITLE),
        reason=storage.load_text(slot + REASON),
        outcome=storage.load_text(slot + OUTCOME),
    )


def _short(name: str) -> str:
    return name[: proposals.MAX_NAME_BYTES]


CONTRACT = SystemContract(
    GOVERNANCE,
    load_abi("ICmtGovernance"),
    {
        "proposeRecovery": propose_recovery,
        "proposeParam": propose_param,
        "proposeUpgrade": propose_upgrade,
        "proposeSignal": propose_signal,
        "vote": vote,
        "supportHold": support_hold,
        "cancel": cancel,
        "claim": claim,
        "proposalCount": proposal_count,
        "proposal": proposal,
        "proposals": list_proposals,
        "openProposals": open_proposals,
        "recovery": recovery_of,
        "paramChange": param_change,
        "upgrade": upgrade,
        "voteOf": vote_of,
        "vault": vault,
        "isClaimed": is_claimed,
        "held": held,
        "heldAccounts": held_accounts,
        "param": param,
        "paramNames": param_names,
        "paramHistory": param_history,
        "appVersion": version,
    },
)
