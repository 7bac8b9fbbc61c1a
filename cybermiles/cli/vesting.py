"""cmt vesting: coins that genesis locked, and what their holders do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cybermiles.chain.reading import checksum
from cybermiles.cli.contracts import ask, ask_all, block_option, cmt, lines, table
from cybermiles.cli.options import rpc_option
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.wallet import address_argument, coins_argument, sends
from cybermiles.system.interface import VESTING_ABI, call_of

if TYPE_CHECKING:
    from cybermiles.cli.wallet import Wallet
    from cybermiles.types.primitives import Address

_GRANT = ("holder", "total", "released", "startTime", "endTime", "label")


@click.group()
def vesting() -> None:
    """Locked coins and their release."""


@vesting.command("list")
@block_option
@rpc_option
@json_option
@reports_errors
def list_(*, block: str, rpc_url: str, as_json: bool) -> None:
    """List the grants.

    \b
    Example:
      cmt vesting list
    """
    found = ask_all(rpc_url, VESTING_ABI, "grants", block=block)
    answer({"grants": found}, table(found, _GRANT) if found else "no coins are locked", as_json=as_json)


@vesting.command()
@address_argument("holder")
@block_option
@rpc_option
@json_option
@reports_errors
def show(*, holder: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """Show HOLDER's grant, what of it is locked, and what can be released now.

    \b
    Example:
      cmt vesting show 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    data = {
        **ask(rpc_url, VESTING_ABI, "grantOf", holder, block=block),
        "locked": ask(rpc_url, VESTING_ABI, "locked", holder, block=block),
        "releasable": ask(rpc_url, VESTING_ABI, "releasable", holder, block=block),
    }
    answer(data, lines(data), as_json=as_json)


@vesting.command()
@sends
def release(*, wallet: Wallet) -> None:
    """Pay out what time has released.

    \b
    Example:
      cmt vesting release
    """
    wallet.send(call_of(VESTING_ABI, "release"), "released")


@vesting.command()
@address_argument("validator")
@coins_argument()
@sends
def delegate(*, wallet: Wallet, validator: Address, amount: int) -> None:
    """Stake locked coins with VALIDATOR. The stake is the grant's, its awards are the holder's.

    \b
    Example:
      cmt vesting delegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 5000
    """
    call = call_of(VESTING_ABI, "delegateLocked", validator, amount)
    wallet.send(call, f"{cmt(amount)} locked CMT are staked with {checksum(validator)}")


@vesting.command()
@address_argument("validator")
@coins_argument()
@sends
def undelegate(*, wallet: Wallet, validator: Address, amount: int) -> None:
    """Take stake of locked coins back from VALIDATOR: awards first, they are paid to the holder.

    \b
    Example:
      cmt vesting undelegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 5000
    """
    call = call_of(VESTING_ABI, "undelegateLocked", validator, amount)
    wallet.send(call, f"{cmt(amount)} locked CMT are leaving {checksum(validator)}")
