"""cmt sponsor: deposits that pay the gas of a contract's users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.contracts import ask, block_option, cmt, lines
from cybermiles.cli.options import reads, rpc_option
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.wallet import address_argument, coins_argument, sends
from cybermiles.system.interface import FEES_ABI, call_of

if TYPE_CHECKING:
    from cybermiles.cli.wallet import Wallet
    from cybermiles.types.primitives import Address


@click.group()
def sponsor() -> None:
    """Deposits that pay for the users of a contract."""


@sponsor.command()
@address_argument("target")
@block_option
@rpc_option
@json_option
@reports_errors
def show(*, target: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """Show owner, deposit and rules of contract TARGET.

    \b
    Example:
      cmt sponsor show 0x5FbDB2315678afecb367f032d93F642f64180aa3
    """
    data = ask(rpc_url, FEES_ABI, "sponsorBudget", target, block=block)
    answer(data, lines(data), as_json=as_json)


@sponsor.command()
@address_argument("target")
@click.argument("creation_nonce", type=click.IntRange(0))
@sends
def claim(*, wallet: Wallet, target: Address, creation_nonce: int) -> None:
    """Become owner of a contract's sponsorship: by the account that created it, with the nonce it had then.

    \b
    Example:
      cmt sponsor claim 0x5FbDB2315678afecb367f032d93F642f64180aa3 0
    """
    call = call_of(FEES_ABI, "claimSponsorship", target, creation_nonce)
    wallet.send(call, f"{checksum(wallet.sender)} owns the sponsorship of {checksum(target)}")


@sponsor.command()
@address_argument("target")
@coins_argument()
@sends
def fund(*, wallet: Wallet, target: Address, amount: int) -> None:
    """Add to the deposit of TARGET. It is its owner's then.

    \b
    Example:
      cmt sponsor fund 0x5FbDB2315678afecb367f032d93F642f64180aa3 100
    """
    wallet.send(call_of(FEES_ABI, "fundSponsorship", target, value=amount), f"the deposit grew by {cmt(amount)} CMT")


@sponsor.command()
@address_argument("target")
@click.option("--max-gas", type=click.IntRange(0), required=True, help="Gas limit of a sponsored transaction; 0 stops.")
@click.option("--per-user-day", type=click.IntRange(0, 2**32 - 1), required=True, help="Transactions a user and day.")
@click.option("--per-day", required=True, metavar="CMT", callback=reads(Field.cmt), help="Fees of a day, at most.")
@click.option("--only-listed", is_flag=True, help="Pay for users that `cmt sponsor user` named only.")
@sends
def rules(*, wallet: Wallet, target: Address, max_gas: int, per_user_day: int, per_day: int, only_listed: bool) -> None:
    """Say for what the deposit of TARGET pays.

    \b
    Example:
      cmt sponsor rules 0x5FbDB2315678afecb367f032d93F642f64180aa3 --max-gas 1000000 --per-user-day 5 --per-day 10
    """
    call = call_of(FEES_ABI, "setSponsorRules", target, max_gas, per_user_day, per_day, only_listed)
    wallet.send(call, "the rules are set")


@sponsor.command()
@address_argument("target")
@address_argument("user")
@click.option("--off", is_flag=True, help="Take the user off the list.")
@sends
def user(*, wallet: Wallet, target: Address, user: Address, off: bool) -> None:
    """Put USER on the list of TARGET's sponsored users.

    \b
    Example:
      cmt sponsor user 0x5FbDB2315678afecb367f032d93F642f64180aa3 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    call = call_of(FEES_ABI, "setSponsoredUser", target, user, not off)
    wallet.send(call, f"{checksum(user)} is {'not ' if off else ''}listed")


@sponsor.command()
@address_argument("target")
@coins_argument()
@click.option("--to", "receiver", metavar="ADDRESS", help="Who gets it.  [default: the account that signs]")
@sends
def withdraw(*, wallet: Wallet, target: Address, amount: int, receiver: str | None) -> None:
    """Take coins out of the deposit of TARGET.

    \b
    Example:
      cmt sponsor withdraw 0x5FbDB2315678afecb367f032d93F642f64180aa3 50
    """
    to = wallet.sender if receiver is None else Field(receiver, "--to").address()
    wallet.send(
        call_of(FEES_ABI, "withdrawSponsorship", target, amount, to), f"{cmt(amount)} CMT went to {checksum(to)}"
    )
