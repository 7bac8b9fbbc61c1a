"""`cmt gov propose-…`: one command for each kind of proposal. The bond comes from the chain's parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.contracts import cmt
from cybermiles.cli.options import reads
from cybermiles.cli.output import CommandError
from cybermiles.cli.rpc_client import call as rpc
from cybermiles.cli.victims import merkle_root, read_victims
from cybermiles.cli.wallet import address_argument, coins_argument, sends
from cybermiles.system.interface import GOVERNANCE_ABI, call_of
from cybermiles.types.primitives import ZERO_HASH

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.cli.wallet import Wallet
    from cybermiles.types.primitives import Address

_NO_HASH = "0x" + ZERO_HASH.hex()


def _motion(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command what all proposals have."""
    for option in (
        click.option("--bond", metavar="CMT", help="Deposit.  [default: what the chain asks for]"),
        click.option(
            "--closes", metavar="TIME", help="End of the vote, such as 2027-01-01T00:00:00Z.  [default: the earliest]"
        ),
        click.option("--reason", default="", help="Why, for those who vote."),
        click.option("--title", required=True, help="What it is about, in a line."),
    ):
        function = option(function)
    return function


@click.command("propose-param")
@click.argument("name")
@click.argument("value")
@click.option(
    "--from-block", type=click.IntRange(0), default=0, help="First block with the value.  [default: earliest]"
)
@_motion
@sends
def propose_param(*, wallet: Wallet, name: str, value: str, from_block: int, **motion: str | None) -> None:
    """Propose that parameter NAME becomes VALUE.

    \b
    Example:
      cmt gov propose-param free_slots_per_block 150 --title "More free transactions"
    """
    _propose(wallet, "proposeParam", (name, value, from_block), motion)


@click.command("propose-upgrade")
@click.argument("app_version", type=click.IntRange(1, 2**32 - 1))
@click.option("--name", required=True, help="Of the upgrade.")
@click.option("--version", "software", required=True, help="Of the software that has it.")
@click.option(
    "--at-block", type=click.IntRange(0), default=0, help="First block of the new version.  [default: earliest]"
)
@click.option(
    "--artifact-hash", default=_NO_HASH, callback=reads(lambda field: field.hex(size=32)), help="Of the release."
)
@click.option("--url", default="", help="Where the release is.")
@_motion
@sends
def propose_upgrade(  # one argument an option
    *,
    wallet: Wallet,
    app_version: int,
    name: str,
    software: str,
    at_block: int,
    artifact_hash: bytes,
    url: str,
    **motion: str | None,
) -> None:
    """Propose that from a block on the rules are those of APP_VERSION. Nodes of another version stop before it.

    \b
    Example:
      cmt gov propose-upgrade 2 --name osaka --version 1.2.0 --title "Version 1.2"
    """
    upgrade = (name, software, app_version, at_block, artifact_hash, url)
    _propose(wallet, "proposeUpgrade", (upgrade,), motion)


@click.command("propose-signal")
@_motion
@sends
def propose_signal(*, wallet: Wallet, **motion: str | None) -> None:
    """Propose something that the chain does not do by itself, to know what its members want.

    \b
    Example:
      cmt gov propose-signal --title "Hold the next meeting in Oslo"
    """
    _propose(wallet, "proposeSignal", (), motion)


@click.command("propose-recovery")
@address_argument("account")
@coins_argument()
@click.option(
    "--victims",
    "list_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Who is paid: lines of ADDRESS,CMT that add up to the amount. Publish the same file.",
)
@click.option(
    "--evidence-hash",
    default=_NO_HASH,
    callback=reads(lambda field: field.hex(size=32)),
    help="Of what proves the theft.",
)
@_motion
@sends
def propose_recovery(
    *,
    wallet: Wallet,
    account: Address,
    amount: int,
    list_file: Path,
    evidence_hash: bytes,
    **motion: str | None,
) -> None:
    """Propose to take stolen coins from ACCOUNT and pay them to the listed victims, and to nobody else.

    \b
    Example:
      cmt gov propose-recovery 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 1200.5 --victims v.csv --title "May's theft"
    """
    victims = read_victims(list_file)
    total = sum(victim.amount for victim in victims)
    if total != amount:
        raise CommandError(f"the victims' amounts add up to {cmt(total)} CMT, not to {cmt(amount)}")
    if wallet.sender in {victim.address for victim in victims}:
        click.echo(
            f"Note: {checksum(wallet.sender)} proposes and is a victim: it is paid only by a 4/5 majority.", err=True
        )
    _propose(wallet, "proposeRecovery", ((account, amount, merkle_root(victims), evidence_hash),), motion)


def _propose(wallet: Wallet, function: str, terms: tuple[object, ...], motion: dict[str, str | None]) -> None:
    bond, closes = motion["bond"], motion["closes"]
    deposit = int(rpc(wallet.rpc_url, "cmt_params")["gov_bond"]) if bond is None else Field(bond, "--bond").cmt()
    end = 0 if closes is None else Field(closes, "--closes").time()
    call = call_of(GOVERNANCE_ABI, function, *terms, motion["title"], motion["reason"], end, value=deposit)
    wallet.send(call, f"proposed with a bond of {cmt(deposit)} CMT")


COMMANDS = (propose_param, propose_upgrade, propose_signal, propose_recovery)
