"""Refusals of the rules as revert data: custom errors that wallets and Solidity's `catch` decode.

Staking and governance raise `cybermiles.errors.Refusal` subclasses and know no ABI. The class's name is looked up in
the called contract's interface, else in the others': `delegateLocked` of the vesting contract answers with the staking
contract's errors. One name has one signature everywhere.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, InvariantViolation
from cybermiles.system.abi import load_abi
from cybermiles.system.codec import EncodingError

if TYPE_CHECKING:
    from cybermiles.errors import Refusal
    from cybermiles.system.abi import ContractAbi, CustomError

INTERFACES = ("ICmtStaking", "ICmtSlashing", "ICmtGovernance", "ICmtVesting", "ICmtFees")
"""Of the contracts in `chain.predeploys.SYSTEM_CONTRACTS`, in that order."""


@cache
def shared_errors() -> dict[str, CustomError]:
    """Return every error of the system contracts by name. Raises ConfigError where two differ under one name."""
    errors: dict[str, CustomError] = {}
    for interface in INTERFACES:
        for name, error in load_abi(interface).errors.items():
            if errors.setdefault(name, error).signature != error.signature:
                raise ConfigError(f"error {name} has two signatures")
    return errors


def refusal_data(abi: ContractAbi, refusal: Refusal) -> bytes:
    """Return the revert data of a refusal by a contract with this ABI.

    Raises InvariantViolation for an error that no ABI declares or whose arguments are not of its types: a bug.
    """
    name = type(refusal).__name__
    error = abi.errors.get(name) or shared_errors().get(name)
    if error is None:
        raise InvariantViolation(f"{abi.name} refuses with {name}, which no ABI declares") from refusal
    try:
        return error.encode(refusal.arguments)
    except EncodingError as wrong:
        raise InvariantViolation(f"{error.signature} with {refusal.arguments}: {wrong}") from refusal
