"""cmt stake: validators, delegations and awards, read from the staking and slashing contracts.

What changes them is in `cli.staking` (holders and owners) and `cli.candidacy` (declaring and keys).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cybermiles.cli import candidacy, staking
from cybermiles.cli.contracts import ask, ask_all, block_option, lines, shown, table
from cybermiles.cli.options import rpc_option
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call as rpc
from cybermiles.cli.wallet import address_argument
from cybermiles.system.interface import SLASHING_ABI, STAKING_ABI

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address

_RANKED = ("rank", "role", "owner", "votingPower", "stake", "selfStake", "compRatePpm", "delegators", "jailedUntil")
_STAKE = ("validator", "principal", "awards", "slashed", "leaving", "compRatePpm", "sinceBlock")
_UNRANKED = 1 << 32


@click.group()
def stake() -> None:
    """Validators, and stake with them."""


@stake.command()
@block_option
@rpc_option
@json_option
@reports_errors
def validators(*, block: str, rpc_url: str, as_json: bool) -> None:
    """List every candidacy, the elected ones first.

    \b
    Example:
      cmt stake validators
    """
    found = ask_all(rpc_url, STAKING_ABI, "validators", block=block)
    found.sort(key=lambda validator: validator["rank"] or _UNRANKED)
    answer({"validators": found}, table(found, _RANKED), as_json=as_json)


@stake.command()
@address_argument("owner")
@block_option
@rpc_option
@json_option
@reports_errors
def validator(*, owner: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """Show the candidacy of OWNER: stake, texts, presence, punishments.

    \b
    Example:
      cmt stake validator 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """
    data = {
        "validator": ask(rpc_url, STAKING_ABI, "validator", owner, block=block),
        "profile": ask(rpc_url, STAKING_ABI, "profile", owner, block=block),
        "signing": ask(rpc_url, SLASHING_ABI, "signing", owner, block=block),
        "slashes": ask_all(rpc_url, SLASHING_ABI, "slashes", owner, block=block),
    }
    parts = [lines(data["validator"]), lines(data["profile"]), lines(data["signing"])]
    parts += [f"slash in block {slash['blockNumber']}: {shown('', slash)}" for slash in data["slashes"]]
    answer(data, "\n\n".join(parts), as_json=as_json)


@stake.command()
@address_argument("holder")
@block_option
@rpc_option
@json_option
@reports_errors
def delegations(*, holder: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """List what HOLDER has staked, and with whom.

    \b
    Example:
      cmt stake delegations 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    found = ask_all(rpc_url, STAKING_ABI, "delegationsOf", holder, block=block)
    answer({"delegations": found}, table(found, _STAKE) if found else "no delegations", as_json=as_json)


@stake.command()
@address_argument("owner")
@block_option
@rpc_option
@json_option
@reports_errors
def delegators(*, owner: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """List the accounts with stake at the validator of OWNER.

    \b
    Example:
      cmt stake delegators 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266
    """
    found = ask_all(rpc_url, STAKING_ABI, "delegatorsOf", owner, block=block)
    answer({"delegators": found}, "\n".join(found) or "no delegators", as_json=as_json)


@stake.command()
@address_argument("holder")
@block_option
@rpc_option
@json_option
@reports_errors
def exits(*, holder: Address, block: str, rpc_url: str, as_json: bool) -> None:
    """List HOLDER's stake that is leaving, and when the chain pays it.

    \b
    Example:
      cmt stake exits 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
    """
    found = ask_all(rpc_url, STAKING_ABI, "exitsOf", holder, block=block)
    text = table(found, ("id", "validator", "amount", "releaseTime")) if found else "nothing is leaving"
    answer({"exits": found}, text, as_json=as_json)


@stake.command()
@click.argument("height", type=click.IntRange(0), required=False)
@rpc_option
@json_option
@reports_errors
def awards(*, height: int | None, rpc_url: str, as_json: bool) -> None:
    """Show whom block HEIGHT (the newest without it) paid how much.

    \b
    Example:
      cmt stake awards 1000
    """
    if height is None:
        height = int(rpc(rpc_url, "eth_blockNumber"), 16)
    paid = ask(rpc_url, STAKING_ABI, "awardsPaid", height, block=hex(height))
    rows = [{"owner": owner, "amount": amount} for owner, amount in zip(paid["owners"], paid["amounts"], strict=True)]
    text = table(rows, ("owner", "amount")) if rows else f"block {height} paid nobody"
    answer({"block": height, "awards": rows}, text, as_json=as_json)


@stake.command()
@block_option
@rpc_option
@json_option
@reports_errors
def supply(*, block: str, rpc_url: str, as_json: bool) -> None:
    """Show how many coins there are, were minted, burnt and are staked.

    \b
    Example:
      cmt stake supply
    """
    data = ask(rpc_url, STAKING_ABI, "supply", block=block)
    answer(data, lines(data), as_json=as_json)


for command in (*staking.COMMANDS, *candidacy.COMMANDS):
    stake.add_command(command)
