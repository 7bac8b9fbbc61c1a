"""The staking contract: `ICmtStaking` on the rules of `cybermiles.staking`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.issuance import SECONDS_PER_YEAR, YEARS_OF_ISSUE
from cybermiles.chain.predeploys import SLASHING, STAKING
from cybermiles.errors import Refusal
from cybermiles.staking import candidates, delegations, views
from cybermiles.staking.candidates import Declaration
from cybermiles.staking.errors import NotAllowed, UnknownValidator
from cybermiles.staking.keys import key_proof_bytes
from cybermiles.staking.layout import candidate_of, delegators_view, exits_view, held_view, ledger_of
from cybermiles.staking.state import in_ppm, staking_state
from cybermiles.staking.supply import burnt_supply, genesis_of, staked_supply, total_supply
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import SystemContract

if TYPE_CHECKING:
    from cybermiles.staking.state import StakingState
    from cybermiles.staking.views import DelegationView, ExitView, ProfileView, ValidatorView
    from cybermiles.system.dispatch import Call
    from cybermiles.types.primitives import Address

MAX_PAGE = 100
"""Items of a list that one call returns."""
_STAKING_ABI = load_abi("ICmtStaking")
_SLASHING_ABI = load_abi("ICmtSlashing")


class PageTooLong(Refusal):
    """(limit): a page has fewer items."""


def state_of(call: Call) -> StakingState:
    """Return staking in a call's block, whichever system contract was called."""
    context = call.context
    return staking_state(
        call.world,
        context.params,
        height=context.height,
        time=context.timestamp,
        events=call.acting_as(STAKING, _STAKING_ABI),
        faults=call.acting_as(SLASHING, _SLASHING_ABI),
    )


def charge_page(call: Call, limit: int, available: int) -> None:
    """Charge for a page of a list before it is read. Raises PageTooLong."""
    if limit > MAX_PAGE:
        raise PageTooLong(MAX_PAGE)
    call.charge_items(min(limit, available))


def find(call: Call, owner: Address) -> int:
    """Return the candidate of an owner. Raises UnknownValidator."""
    candidate = candidate_of(call.storage, owner)
    if not candidate:
        raise UnknownValidator(owner)
    return candidate


# Holders


def delegate(call: Call, validator: Address) -> int:
    """`delegate(address)`."""
    return delegations.delegate(state_of(call), call.sender, validator, call.value)


def undelegate(call: Call, validator: Address, amount: int) -> tuple[int, int]:
    """`undelegate(address,uint256)`."""
    return delegations.undelegate(state_of(call), call.sender, validator, amount)


def redelegate(call: Call, source: Address, target: Address, amount: int) -> None:
    """`redelegate(address,address,uint256)`."""
    delegations.redelegate(state_of(call), call.sender, source, target, amount)


# Validators


def declare_candidacy(call: Call, key: bytes, proof: bytes, cap: int, rate: int, profile: tuple[str, ...]) -> None:
    """`declareCandidacy(bytes,bytes,uint256,uint32,Profile)`."""
    declaration = Declaration(key=key, cap=cap, rate=rate, stake=call.value, profile=profile)
    candidates.declare(state_of(call), call.sender, declaration, proof, _proof_message(call))


def update_profile(call: Call, profile: tuple[str, ...]) -> None:
    """`updateProfile(Profile)`."""
    candidates.update_profile(state_of(call), call.sender, profile)


def update_candidacy(call: Call, cap: int, rate: int) -> None:
    """`updateCandidacy(uint256,uint32)`."""
    candidates.update_candidacy(state_of(call), call.sender, cap, rate, call.value)


def rotate_consensus_key(call: Call, key: bytes, proof: bytes) -> None:
    """`rotateConsensusKey(bytes,bytes)`."""
    candidates.rotate_key(state_of(call), call.sender, key, proof, _proof_message(call))


def set_comp_rate_for(call: Call, delegator: Address, rate: int) -> None:
    """`setCompRateFor(address,uint32)`."""
    delegations.set_rate_for(state_of(call), call.sender, delegator, rate)


def activate(call: Call) -> None:
    """`activate()`."""
    candidates.activate(state_of(call), call.sender)


def deactivate(call: Call) -> None:
    """`deactivate()`."""
    candidates.deactivate(state_of(call), call.sender)


def withdraw_candidacy(call: Call) -> None:
    """`withdrawCandidacy()`."""
    candidates.withdraw(state_of(call), call.sender)


def offer_ownership(call: Call, new_owner: Address) -> int:
    """`offerOwnership(address)`."""
    return candidates.offer_ownership(state_of(call), call.sender, new_owner)


def accept_ownership(call: Call, offer: int) -> None:
    """`acceptOwnership(uint256)`: of nobody's whose coins are frozen."""
    if candidates.accept_ownership(state_of(call), call.sender, offer) in call.context.frozen:
        raise NotAllowed


def set_verified(call: Call, validator: Address, verified: bool) -> None:  # noqa: FBT001  (the ABI's argument)
    """`setVerified(address,bool)`."""
    candidates.set_verified(state_of(call), call.sender, validator, verified=verified)


# Reading


def validator(call: Call, owner: Address) -> ValidatorView:
    """`validator(address)`."""
    return views.validator_view(call.storage, find(call, owner))


def profile(call: Call, owner: Address) -> ProfileView:
    """`profile(address)`."""
    return views.profile_view(call.storage, find(call, owner))


def validator_count(call: Call) -> int:
    """`validatorCount()`."""
    return views.candidate_count(call.storage)


def validators(call: Call, offset: int, limit: int) -> list[ValidatorView]:
    """`validators(uint256,uint256)`: in order of declaration."""
    ids = range(1, views.candidate_count(call.storage) + 1)
    charge_page(call, limit, len(ids))
    return [views.validator_view(call.storage, candidate) for candidate in ids[offset : offset + limit]]


def delegation(call: Call, holder: Address, owner: Address) -> DelegationView:
    """`delegation(address,address)`."""
    return views.delegation_view(call.storage, holder, find(call, owner))


def delegations_of(call: Call, holder: Address, offset: int, limit: int) -> list[DelegationView]:
    """`delegationsOf(address,uint256,uint256)`."""
    charge_page(call, limit, len(held_view(call.storage, holder)))
    page = views.delegations_page(call.storage, holder, offset, limit)
    return [views.delegation_view(call.storage, holder, candidate) for candidate in page]


def delegators_of(call: Call, owner: Address, offset: int, limit: int) -> list[Address]:
    """`delegatorsOf(address,uint256,uint256)`."""
    candidate = find(call, owner)
    charge_page(call, limit, len(delegators_view(call.storage, candidate)))
    return views.delegators_page(call.storage, candidate, offset, limit)


def exits_of(call: Call, holder: Address, offset: int, limit: int) -> list[ExitView]:
    """`exitsOf(address,uint256,uint256)`."""
    charge_page(call, limit, len(exits_view(call.storage, holder)))
    return views.exits_page(call.storage, holder, offset, limit)


def awards_paid(call: Call, height: int) -> tuple[list[Address], list[int]]:
    """`awardsPaid(uint64)`: of the block before this one; older ones are read from the state of their block."""
    paid = views.awards_paid(call.storage, height)
    call.charge_items(len(paid))
    return [owner for owner, _ in paid], [amount for _, amount in paid]


def supply(call: Call) -> tuple[int, int, int, int, int, int]:
    """`supply()`."""
    storage, context = call.storage, call.context
    year = (context.timestamp - genesis_of(storage).time) // SECONDS_PER_YEAR
    params = context.params
    rate = params.inflation_rate if year < YEARS_OF_ISSUE else params.inflation_rate_after
    return (
        total_supply(storage),
        ledger_of(storage).minted,
        burnt_supply(storage),
        staked_supply(storage),
        params.max_supply,
        in_ppm(rate),
    )


def _proof_message(call: Call) -> bytes:
    return key_proof_bytes(call.chain_id, call.context.genesis_hash, call.sender)


CONTRACT = SystemContract(
    STAKING,
    _STAKING_ABI,
    {
        "delegate": delegate,
        "undelegate": undelegate,
        "redelegate": redelegate,
        "declareCandidacy": declare_candidacy,
        "updateProfile": update_profile,
        "updateCandidacy": update_candidacy,
        "rotateConsensusKey": rotate_consensus_key,
        "setCompRateFor": set_comp_rate_for,
        "activate": activate,
        "deactivate": deactivate,
        "withdrawCandidacy": withdraw_candidacy,
        "offerOwnership": offer_ownership,
        "acceptOwnership": accept_ownership,
        "setVerified": set_verified,
        "validator": validator,
        "profile": profile,
        "validatorCount": validator_count,
        "validators": validators,
        "delegation": delegation,
        "delegationsOf": delegations_of,
        "delegatorsOf": delegators_of,
        "exitsOf": exits_of,
        "awardsPaid": awards_paid,
        "supply": supply,
    },
)
