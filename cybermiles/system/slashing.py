"""The slashing contract: `ICmtSlashing`. Its state lies with staking's, whose coins it burns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import SLASHING, STAKING
from cybermiles.staking import views
from cybermiles.staking.holdings import slash_count
from cybermiles.staking.offences import submit_evidence as punish_proven
from cybermiles.staking.signing import WORD_BITS
from cybermiles.staking.state import in_ppm
from cybermiles.system.abi import load_abi
from cybermiles.system.dispatch import SystemContract
from cybermiles.system.staking import charge_page, find, state_of

if TYPE_CHECKING:
    from cybermiles.staking.views import SigningView, SlashView
    from cybermiles.system.dispatch import Call
    from cybermiles.types.primitives import Address

_STAKING_ABI = load_abi("ICmtStaking")
_WINDOW_COMPUTE_UNITS = 3
"""Reading a word of a window of absences."""


def signing(call: Call, owner: Address) -> SigningView:
    """`signing(address)`."""
    books, params = _books(call), call.context.params
    call.charge_time(_WINDOW_COMPUTE_UNITS * -(-params.absence_window // WORD_BITS))
    return views.signing_view(
        books.storage,
        find(books, owner),
        height=call.context.height,
        limit=params.max_absences,
        window=params.absence_window,
    )


def slash_count_of(call: Call, owner: Address) -> int:
    """`slashCount(address)`."""
    books = _books(call)
    return slash_count(books.storage, find(books, owner))


def slashes(call: Call, owner: Address, offset: int, limit: int) -> list[SlashView]:
    """`slashes(address,uint256,uint256)`: the oldest first."""
    books = _books(call)
    candidate = find(books, owner)
    count = slash_count(books.storage, candidate)
    charge_page(call, limit, count)
    return [views.slash_view(books.storage, candidate, index) for index in range(count)[offset : offset + limit]]


def slashed_from(call: Call, holder: Address, owner: Address) -> int:
    """`slashedFrom(address,address)`."""
    books = _books(call)
    return views.delegation_view(books.storage, holder, find(books, owner)).slashed


def rules(call: Call) -> tuple[int, int, int, int, int, bool]:
    """`rules()`."""
    params = call.context.params
    return (
        params.absence_window,
        params.max_absences,
        in_ppm(params.absence_slash),
        in_ppm(params.double_sign_slash),
        params.jail_seconds,
        bool(params.slash_absence),
    )


def submit_evidence(call: Call, first: bytes, second: bytes) -> int:
    """`submitEvidence(bytes,bytes)`."""
    return punish_proven(state_of(call), first, second, chain_id=call.chain_id, genesis_hash=call.context.genesis_hash)


def _books(call: Call) -> Call:
    return call.acting_as(STAKING, _STAKING_ABI)


CONTRACT = SystemContract(
    SLASHING,
    load_abi("ICmtSlashing"),
    {
        "signing": signing,
        "slashCount": slash_count_of,
        "slashes": slashes,
        "slashedFrom": slashed_from,
        "rules": rules,
        "submitEvidence": submit_evidence,
    },
)
