"""EIP-7702: authorizations of a set-code transaction become delegation designators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.crypto.secp256k1 import HALF_N
from cybermiles.types.primitives import ZERO_ADDRESS
from cybermiles.vm.validity import AUTHORIZATION_GAS, DELEGATION_PREFIX

if TYPE_CHECKING:
    from collections.abc import Container

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Authorization, Transaction

BASE_GAS = 12_500
"""PER_AUTH_BASE_COST: what an authorization of an existing account costs in the end."""
_U64_MAX = 2**64 - 1


def apply_authorizations(world: WorldState, transaction: Transaction, chain_id: int, frozen: Container[Address]) -> int:
    """Apply every valid authorization in order and return the gas to refund; invalid ones do nothing.

    Those of a frozen account are invalid: its nonce and code stay as they are.
    """
    return sum(_apply(world, item, chain_id, frozen) for item in transaction.authorizations)


def _apply(world: WorldState, item: Authorization, chain_id: int, frozen: Container[Address]) -> int:
    if item.chain_id not in (0, chain_id) or item.nonce >= _U64_MAX or item.s > HALF_N:
        return 0
    authority = item.authority()
    if authority is None:
        return 0
    world.warm(authority)
    if authority in frozen:
        return 0
    code = world.code(authority)
    if code and not code.startswith(DELEGATION_PREFIX):
        return 0
    if world.nonce(authority) != item.nonce:
        return 0
    refund = 0 if world.is_empty(authority) else AUTHORIZATION_GAS - BASE_GAS
    delegated = b"" if item.address == ZERO_ADDRESS else DELEGATION_PREFIX + item.address
    world.set_code(authority, delegated)
    world.increment_nonce(authority)
    return refund
