"""What holders and owners of candidacies do with `cmt stake`: one command for each function of the contract."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.contracts import cmt, percent
from cybermiles.cli.options import reads
from cybermiles.cli.wallet import address_argument, coins_argument, sends
from cybermiles.errors import ConfigError
from cybermiles.system.interface import SLASHING_ABI, STAKING_ABI, call_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.cli.wallet import Wallet
    from cybermiles.types.primitives import Address


_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]+))? ?%")
_PLACES = 4
"""Decimal places of a percentage that make whole parts per million."""


def read_rate(field: Field) -> int:
    """Return the parts per million of "12.5%". Raises ConfigError."""
    text = field.text(maximum=16)
    parts = _PERCENT.fullmatch(text)
    if parts is None:
        raise ConfigError(f'{field.path}: "{text}" must be in percent, such as "12.5%"')
    whole, places = parts[1], parts[2] or ""
    if len(places) > _PLACES:
        raise ConfigError(f'{field.path}: "{text}" must have at most {_PLACES} decimal places')
    return int(whole + places.ljust(_PLACES, "0"))


def rate_argument(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return click's decorator for a rate; the function gets parts per million."""
    return click.argument(name, metavar="PERCENT", callback=reads(read_rate))


@click.command()
@address_argument("validator")
@coins_argument()
@sends
def delegate(*, wallet: Wallet, validator: Address, amount: int) -> None:
    """Stake coins with the validator of account VALIDATOR. They earn awards from the next block on.

    \b
    Example:
      cmt stake delegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 5000
    """
    call = call_of(STAKING_ABI, "delegate", validator, value=amount)
    wallet.send(call, f"{cmt(amount)} CMT are staked with {checksum(validator)}")


@click.command()
@address_argument("validator")
@coins_argument()
@sends
def undelegate(*, wallet: Wallet, validator: Address, amount: int) -> None:
    """Take stake back from VALIDATOR. The chain pays it by itself after the unbonding time: `cmt stake exits`.

    \b
    Example:
      cmt stake undelegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 1000
    """
    call = call_of(STAKING_ABI, "undelegate", validator, amount)
    wallet.send(call, f"{cmt(amount)} CMT are leaving {checksum(validator)}")


@click.command()
@address_argument("source")
@address_argument("target")
@coins_argument()
@sends
def redelegate(*, wallet: Wallet, source: Address, target: Address, amount: int) -> None:
    """Move stake from validator SOURCE to validator TARGET at once. It cannot move again for a while.

    \b
    Example:
      cmt stake redelegate 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 1000
    """
    call = call_of(STAKING_ABI, "redelegate", source, target, amount)
    wallet.send(call, f"{cmt(amount)} CMT moved from {checksum(source)} to {checksum(target)}")


@click.command()
@coins_argument("cap")
@rate_argument("rate")
@click.option("--stake", "added", default="0", metavar="CMT", callback=reads(Field.cmt), help="Own stake to add.")
@sends
def update(*, wallet: Wallet, cap: int, rate: int, added: int) -> None:
    """Set the cap (in CMT) and the rate of one's own candidacy, and add to the own stake.

    \b
    Example:
      cmt stake update 20000000 12.5% --stake 1000000
    """
    call = call_of(STAKING_ABI, "updateCandidacy", cap, rate, value=added)
    wallet.send(call, f"the cap is {cmt(cap)} CMT, the rate {percent(rate)}")


def profile_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the five texts of a profile."""
    for name in ("about", "email", "location", "website", "name"):
        function = click.option(f"--{name}", f"profile_{name}", default="", help=f"The profile's {name}.")(function)
    return function


def profile_of(options: dict[str, str]) -> tuple[str, ...]:
    """Return the ABI's struct of `profile_options`."""
    return tuple(options[f"profile_{name}"] for name in ("name", "website", "location", "email", "about"))


@click.command()
@profile_options
@sends
def profile(*, wallet: Wallet, **texts: str) -> None:
    """Replace the texts of one's own candidacy; the foundation's mark is gone until it looks at them again.

    \b
    Example:
      cmt stake profile --name "Blue validator" --website https://blue.example
    """
    wallet.send(call_of(STAKING_ABI, "updateProfile", profile_of(texts)), "the profile is changed")


@click.command("comp-rate")
@address_argument("delegator")
@rate_argument("rate")
@sends
def comp_rate(*, wallet: Wallet, delegator: Address, rate: int) -> None:
    """Grant DELEGATOR a rate of its own, up to that of one's candidacy.

    \b
    Example:
      cmt stake comp-rate 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 5%
    """
    call = call_of(STAKING_ABI, "setCompRateFor", delegator, rate)
    wallet.send(call, f"{checksum(delegator)} gives {percent(rate)} of its awards")


@click.command()
@sends
def activate(*, wallet: Wallet) -> None:
    """Stand for election again: after `deactivate`, or when the time in jail is over.

    \b
    Example:
      cmt stake activate
    """
    wallet.send(call_of(STAKING_ABI, "activate"), "the candidacy is active")


@click.command()
@sends
def deactivate(*, wallet: Wallet) -> None:
    """Leave the election until `activate`; stake stays where it is and earns nothing.

    \b
    Example:
      cmt stake deactivate
    """
    wallet.send(call_of(STAKING_ABI, "deactivate"), "the candidacy is inactive")


@click.command()
@click.confirmation_option(prompt="The candidacy is over for ever, and its key is used up. Withdraw it?")
@sends
def withdraw(*, wallet: Wallet) -> None:
    """End one's own candidacy for ever. The own stake leaves, delegators take theirs out when they like.

    \b
    Example:
      cmt stake withdraw --yes
    """
    wallet.send(call_of(STAKING_ABI, "withdrawCandidacy"), "the candidacy is withdrawn")


@click.command()
@address_argument("new_owner")
@sends
def offer(*, wallet: Wallet, new_owner: Address) -> None:
    """Offer one's own candidacy to NEW_OWNER, who takes it with `cmt stake accept`.

    \b
    Example:
      cmt stake offer 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    wallet.send(call_of(STAKING_ABI, "offerOwnership", new_owner), f"offered to {checksum(new_owner)}")


@click.command()
@click.argument("offer_id", type=click.IntRange(1))
@sends
def accept(*, wallet: Wallet, offer_id: int) -> None:
    """Take over the candidacy offered under number OFFER_ID.

    \b
    Example:
      cmt stake accept 3
    """
    wallet.send(call_of(STAKING_ABI, "acceptOwnership", offer_id), "the candidacy has a new owner")


@click.command()
@address_argument("validator")
@click.option("--off", is_flag=True, help="Take the mark away.")
@sends
def verify(*, wallet: Wallet, validator: Address, off: bool) -> None:
    """Mark VALIDATOR as verified. For the foundation's account only.

    \b
    Example:
      cmt stake verify 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """
    call = call_of(STAKING_ABI, "setVerified", validator, not off)
    wallet.send(call, f"{checksum(validator)} is {'not verified' if off else 'verified'}")


def _message(_context: click.Context, _parameter: click.Parameter, path: Path) -> bytes:
    try:
        return bytes.fromhex(path.read_text(encoding="utf-8").strip().removeprefix("0x"))
    except ValueError as error:
        raise click.UsageError(f"{path} does not hold a message as hex digits") from error


_message_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("first", type=_message_file, callback=_message)
@click.argument("second", type=_message_file, callback=_message)
@sends
def evidence(*, wallet: Wallet, first: bytes, second: bytes) -> None:
    """Report a validator that signed two messages in one place: files FIRST and SECOND have them in hex.

    \b
    Example:
      cmt stake evidence vote1.hex vote2.hex
    """
    wallet.send(call_of(SLASHING_ABI, "submitEvidence", first, second), "the validator is punished")


COMMANDS = (
    delegate,
    undelegate,
    redelegate,
    update,
    profile,
    comp_rate,
    activate,
    deactivate,
    withdraw,
    offer,
    accept,
    verify,
    evidence,
)
