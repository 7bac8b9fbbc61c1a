"""Which system contract answers at which address: the table the EVM is built with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.system import fees, governance, slashing, staking, vesting
from cybermiles.system.dev import DevContract

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


def native_contracts(*, dev: bool = False) -> dict[Address, NativeContract]:
    """Return address to contract, for `PyEvmBackend`; with `dev` also what edits accounts for developers."""
    table: dict[Address, NativeContract] = {contract.address: contract for contract in CONTRACTS}
    if dev:
        table[DevContract.address] = DevContract()
    return table
