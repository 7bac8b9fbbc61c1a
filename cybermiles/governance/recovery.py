"""Recovered funds: taken once, kept in a vault, paid to the victims that members voted on, and to nobody else.

execute   min(amount, balance) leaves the account for the vault, within the caps
claim     victim's amount · recovered / amount, rounded down: where not all was there, all victims get the same part
close     what nobody claimed in time goes back to the account it came from
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.chain.predeploys import GOVERNANCE, is_reserved
from cybermiles.crypto.hashing import keccak256
from cybermiles.governance.errors import (
    AlreadyClaimed,
    BadProof,
    InterestedParty,
    NothingToRecover,
    NoVault,
    ProtectedAccount,
    VaultIsClosed,
)
from cybermiles.governance.holds import account_of
from cybermiles.governance.layout import (
    CLAIMS,
    MOVED_WORD,
    RECOVERIES,
    RECOVERIES_HEAD,
    VAULT_HEAD,
    VAULT_QUEUE,
    VAULT_TERM_WORD,
    VAULT_WORD,
    Moved,
    Vault,
    VaultTerm,
    as_address,
    details_slot,
    head_of,
    member_slot,
    powers_of,
    vault_slot,
    votes_of,
)
from cybermiles.governance.proposals import recovery_cap
from cybermiles.governance.state import portion
from cybermiles.staking.supply import total_supply
from cybermiles.state.slots import Array, ArrayView, mapping_slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.governance.state import GovernanceState
    from cybermiles.state.slots import ReadStorage
    from cybermiles.types.primitives import Address

WINDOW_SECONDS = 30 * 86_400
MAX_PROOF = 32
"""Hashes of a Merkle proof: four thousand million victims."""


def execute_recovery(state: GovernanceState, proposal: int) -> str:
    """Move the funds into the vault; return why that cannot be, "" where it was done."""
    storage = state.storage
    account = account_of(storage, proposal)
    taken = min(storage.load(details_slot(proposal) + 1), state.world.balance(account))
    if not taken:
        return "the account is empty"
    if taken > recovery_cap(state):
        return "over the cap of one recovery"
    if taken + _moved_lately(state) > portion(total_supply(state.staking), state.params.gov_recovery_window_cap):
        return "over the cap of 30 days"
    state.world.subtract_balance(account, taken)
    state.world.add_balance(GOVERNANCE, taken)
    Array(storage, RECOVERIES).append(MOVED_WORD.pack(Moved(state.time, taken)))
    closes = state.time + state.params.gov_claim_seconds
    VAULT_WORD.store(storage, vault_slot(proposal), Vault(taken, 0))
    VAULT_TERM_WORD.store(storage, vault_slot(proposal) + 1, VaultTerm(closes, 0))
    Array(storage, VAULT_QUEUE).append(proposal)
    state.events.emit("FundsRecovered", proposal, account, taken, closes)
    return ""


def claim(state: GovernanceState, proposal: int, victim: Address, amount: int, proof: Sequence[bytes]) -> int:
    """Pay a victim and return how much. Raises the fitting Refusal; nothing happens then."""
    storage, slot = state.storage, vault_slot(proposal)
    vault, term = VAULT_WORD.load(storage, slot), VAULT_TERM_WORD.load(storage, slot + 1)
    if not vault.recovered:
        raise NoVault(proposal)
    if term.closed or state.time >= term.closes:
        raise VaultIsClosed(proposal)
    if is_reserved(victim):
        raise ProtectedAccount(victim)
    details = details_slot(proposal)
    leaf = leaf_of(victim, amount)
    if len(proof) > MAX_PROOF or root_of(leaf, proof) != storage.load(details + 2).to_bytes(32):
        raise BadProof
    claimed = claim_slot(proposal, leaf)
    if storage.load(claimed):
        raise AlreadyClaimed(victim)
    if _is_interested(storage, proposal, victim):
        raise InterestedParty(victim)
    paid = min(amount * vault.recovered // storage.load(details + 1), vault.recovered - vault.claimed)
    if not paid:
        raise NothingToRecover
    storage.store(claimed, 1)
    VAULT_WORD.store(storage, slot, vault._replace(claimed=vault.claimed + paid))
    state.world.subtract_balance(GOVERNANCE, paid)
    state.world.add_balance(victim, paid)
    state.events.emit("Claimed", proposal, victim, paid)
    return paid


def close_vaults(state: GovernanceState) -> int:
    """Return what is left in vaults whose time is over; return when the next one's is, 0 where none is open.

    Vaults close in the order they were filled in: where the time for claims became shorter in between, the later one
    waits.
    """
    storage, queue = state.storage, ArrayView(state.storage, VAULT_QUEUE)
    while (head := storage.load(VAULT_HEAD)) < len(queue):
        proposal = storage.load(queue.slot_of(head))
        slot = vault_slot(proposal)
        term = VAULT_TERM_WORD.load(storage, slot + 1)
        if state.time < term.closes:
            return term.closes
        vault, account = VAULT_WORD.load(storage, slot), account_of(storage, proposal)
        rest = vault.recovered - vault.claimed
        VAULT_TERM_WORD.store(storage, slot + 1, term._replace(closed=1))
        state.world.subtract_balance(GOVERNANCE, rest)
        state.world.add_balance(account, rest)
        storage.store(VAULT_HEAD, head + 1)
        state.events.emit("VaultClosed", proposal, account, rest)
    return 0


def leaf_of(victim: Address, amount: int) -> bytes:
    """Return the leaf of one victim, as OpenZeppelin's merkle-tree has it for (address, uint256)."""
    return keccak256(keccak256(victim.rjust(32, b"\x00") + amount.to_bytes(32)))


def root_of(leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """Return the root that a proof leads to: pairs in ascending order."""
    node = leaf
    for sibling in proof:
        node = keccak256(min(node, sibling) + max(node, sibling))
    return node


def claim_slot(proposal: int, leaf: bytes) -> int:
    """Return the slot that is 1 once a leaf was paid."""
    return mapping_slot(CLAIMS, proposal, leaf)


def _is_interested(storage: ReadStorage, proposal: int, victim: Address) -> bool:
    party = as_address(head_of(storage, proposal).proposer) == victim or member_slot(storage, proposal, victim)
    return bool(party) and 5 * votes_of(storage, proposal).yes < 4 * powers_of(storage, proposal).total


def _moved_lately(state: GovernanceState) -> int:
    """Return what recoveries moved in the last 30 days, and forget earlier ones. Wei."""
    storage, moved = state.storage, ArrayView(state.storage, RECOVERIES)
    first = storage.load(RECOVERIES_HEAD)
    total = 0
    for index in range(first, len(moved)):
        time, amount = MOVED_WORD.load(storage, moved.slot_of(index))
        if time + WINDOW_SECONDS <= state.time:
            storage.store(RECOVERIES_HEAD, index + 1)
        else:
            total += amount
    return total
