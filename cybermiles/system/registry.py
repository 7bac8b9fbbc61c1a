"""Which system contract answers at which address: the table the EVM is built with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.system import fees, governance, slashing, staking, vesting

if TYPE_CHECKING:
    from cybermiles.system.dispatch import SystemContract
    from cybermiles.types.primitives import Address
    from cybermiles.vm.native import NativeContract

CONTRACTS: tuple[SystemContract, ...] = (
    staking.CONTRACT,
    slashing.CONTRACT,
    governance.CONTRACT,
    vesting.CONTRACT,
    fees.CONTRACT,
)
"""Every system contract that this version has."""


def native_contracts() -> dict[Address, NativeContract]:
    """Return address to contract, for `PyEvmBackend`."""
    return {contract.address: contract for contract in CONTRACTS}
