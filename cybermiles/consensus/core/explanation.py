"""Says in one sentence why a height does not advance, and who is missing: for `cmt_consensusState` and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.core.round_state import Step

if TYPE_CHECKING:
    from cybermiles.consensus.core.driver import HeightDriver
    from cybermiles.consensus.core.tally import Tally

_MAX_NAMES = 10
"""Named in one sentence."""


def explain(driver: HeightDriver) -> str:
    """Return the sentence."""
    state = driver.state
    if state.decision is not None:
        return (
            f"Height {driver.height} is decided: block 0x{state.decision.block_hash.hex()} in round "
            f"{state.decision.round}; the next height has not started."
        )
    return f"Height {driver.height}, round {state.round}, step {state.step.name.lower()}: {_waiting_for(driver)}."


def _waiting_for(driver: HeightDriver) -> str:
    if driver.votes.commits:
        round_, block_hash = min(driver.votes.commits.items())
        return (
            f"a quorum precommitted block 0x{block_hash.hex()} in round {round_}, "
            "but this node has not got it or has refused it"
        )
    match driver.state.step:
        case Step.PROPOSE:
            return _proposal_wait(driver)
        case Step.PREVOTE:
            return _votes_wait(driver, "prevote")
        case _:
            return _votes_wait(driver, "precommit")


def _proposal_wait(driver: HeightDriver) -> str:
    round_ = driver.state.round
    proposer = driver.members.addresses[driver.proposer(round_)]
    arrivals = driver.proposals.arrivals(round_)
    if not arrivals:
        return f"no proposal from its proposer {_name(proposer)} yet"
    proposal = arrivals[0].proposal
    if driver.proposals.is_valid(proposal) is None:
        return f"block 0x{proposal.block_hash.hex()} of proposer {_name(proposer)} is incomplete or unchecked"
    return f"the proposal rests on a quorum of prevotes of round {proposal.pol_round}, which has not arrived"


def _votes_wait(driver: HeightDriver, kind: str) -> str:
    votes = driver.votes.round(driver.state.round)
    tally = None if votes is None else votes.prevotes if kind == "prevote" else votes.precommits
    power, total = (0 if tally is None else tally.power), driver.members.total_power
    missing = _missing(driver, tally)
    if tally is None or not tally.has_quorum:
        needed = driver.members.quorum_power
        return f"{power} of {total} power sent a {kind}, {needed} are needed; missing: {missing}"
    if tally.block_hash is not None:
        return f"a quorum sent a {kind} for block 0x{tally.block_hash.hex()}, whose valid proposal is not here"
    return f"the {kind}s of {power} of {total} power do not agree, the round ends with its timer; missing: {missing}"


def _missing(driver: HeightDriver, tally: Tally | None) -> str:
    """Name who did not vote, the strongest first."""
    silent = [
        f"{_name(address)} (power {member.power})"
        for position, (address, member) in enumerate(
            zip(driver.members.addresses, driver.members.validators, strict=True)
        )
        if tally is None or tally.votes[position] is None
    ]
    if not silent:
        return "nobody"
    more = f" and {len(silent) - _MAX_NAMES} more" if len(silent) > _MAX_NAMES else ""
    return ", ".join(silent[:_MAX_NAMES]) + more


def _name(address: bytes) -> str:
    return f"0x{address.hex()}"
