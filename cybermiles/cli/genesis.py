"""cmt genesis new | check | hash: documents that chains start from.

`new` fills a named network's template with validators and allocations, `check` reads a document as a node would and
shows what it sums to, `hash` prints what operators compare before they start. None of them needs a node or a home.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.fees import decimal
from cybermiles.chain.genesis import (
    Allocation,
    GenesisDocument,
    GenesisValidator,
    founder,
    parse_genesis,
    with_stake_powers,
)
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.reading import MAX_DOCUMENT_BYTES, Field, format_time
from cybermiles.chain.writing import format_genesis
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.execution.genesis import genesis_block
from cybermiles.types.primitives import WEI_PER_CMT, ChainId, Wei
from cybermiles.types.validator import Validator

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cybermiles.chain.params import ChainParams

document_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def genesis() -> None:
    """Documents that chains start from."""


@genesis.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--network",
    type=click.Choice(tuple(NETWORKS)),
    default="devnet",
    show_default=True,
    help="Template: parameters, allocations and vesting.",
)
@click.option("--chain-id", type=click.IntRange(1, 2**53 - 1), help="Chain id, if not the template's.")
@click.option("--name", help="Name, if not the template's.")
@click.option(
    "--time", "start", metavar="TIME", help="Start of the chain, such as 2027-01-01T00:00:00Z.  [default: now]"
)
@click.option(
    "--validator",
    "validators",
    multiple=True,
    metavar="KEY:OPERATOR[:STAKE]",
    help="Founding validator: ed25519 key, account, stake in CMT from its allocation. Repeatable; where nobody "
    "stakes, all have one vote and there are no elections; without any validator a template is written, of which "
    "`cmt init --genesis` makes a chain with its own key.",
)
@click.option(
    "--allocation",
    "allocations",
    multiple=True,
    metavar="LABEL:ADDRESS:CMT",
    help="Coins of an account. Repeatable; the first one drops the template's allocations and vesting, and the supply "
    "becomes the sum.",
)
@json_option
@reports_errors
def new(
    *,
    file: Path,
    network: str,
    chain_id: int | None,
    name: str | None,
    start: str | None,
    validators: tuple[str, ...],
    allocations: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write a new document. Vesting moves along with the start of the chain.

    \b
    Example:
      cmt genesis new my.json --chain-id 4242 --allocation treasury:0x<20 bytes>:1000000
    """
    now = int(time.time())  # noqa: TID251  (the chain starts now)
    moment = now if start is None else Field(start, "--time").time()
    template = network_genesis(network).with_timestamp(moment)
    granted = tuple(_allocation(text) for text in allocations)
    document = GenesisDocument(
        name=template.name if name is None else Field(name, "--name").text(maximum=64),
        chain_id=ChainId(template.chain_id if chain_id is None else chain_id),
        timestamp=template.timestamp,
        allow_unprotected=template.allow_unprotected,
        supply=Wei(sum(allocation.amount for allocation in granted)) if granted else template.supply,
        params=template.params,
        foundation=template.foundation,
        validators=_founders([_validator(text, template.params) for text in validators], template.params),
        allocations=granted or template.allocations,
        vesting=() if granted else template.vesting,
    )
    _write(file, format_genesis(document))
    digest = "0x" + document.hash.hex()
    lines = [f"{file}  {digest}"]
    if network == "devnet" and not granted:
        lines.append("Its coins belong to test accounts whose keys are public knowledge; --allocation names others.")
    answer({"file": str(file), "genesis_hash": digest}, "\n".join(lines), as_json=as_json)


@genesis.command()
@document_argument
@json_option
@reports_errors
def check(*, file: Path, as_json: bool) -> None:
    """Check a document and show what it sums to.

    \b
    Example:
      cmt genesis check genesis/mainnet.json
    """
    document = _read(file)
    supply = decimal(document.supply, WEI_PER_CMT)
    allocations = _sums((a.label, a.amount) for a in document.allocations)
    vesting = _sums((g.label, g.amount) for g in document.vesting)
    data = {
        "name": document.name,
        "chain_id": document.chain_id,
        "genesis_time": format_time(document.timestamp),
        "supply_cmt": supply,
        "allocations": allocations,
        "vesting": vesting,
        "validators": len(document.validators),
    }
    rows = [*allocations.items(), *((f"{label} (vesting)", amount) for label, amount in vesting.items())]
    width = max(len(amount) for _, amount in [*rows, ("supply", supply)])
    count = len(document.validators)
    lines = [
        f"{document.name}, chain id {document.chain_id}, from {format_time(document.timestamp)}",
        *(f"{amount:>{width}} CMT  {label}" for label, amount in [*rows, ("supply", supply)]),
        f"{count} founding validator{'' if count == 1 else 's'}" + ("" if count else ": a template, no chain yet"),
        "OK",
    ]
    answer(data, "\n".join(lines), as_json=as_json)


@genesis.command("hash")
@document_argument
@json_option
@reports_errors
def hash_(*, file: Path, as_json: bool) -> None:
    """Print the hashes of a document and of its block 0.

    \b
    Example:
      cmt genesis hash genesis/mainnet.json
    """
    document = _read(file)
    block = genesis_block(document).header
    data = {
        "genesis_hash": "0x" + document.hash.hex(),
        "block_hash": "0x" + block.hash.hex(),
        "state_root": "0x" + block.state_root.hex(),
    }
    answer(data, "\n".join(f"{key:<13} {value}" for key, value in data.items()), as_json=as_json)


def _read(file: Path) -> GenesisDocument:
    with file.open("rb") as stream:
        return parse_genesis(stream.read(MAX_DOCUMENT_BYTES + 1))


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise CommandError(f"{file} exists; choose another name") from error
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error


def _sums(entries: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Return label to the decimal sum of its entries, in order of first appearance."""
    sums: dict[str, int] = {}
    for label, amount in entries:
        sums[label] = sums.get(label, 0) + amount
    return {label: decimal(amount, WEI_PER_CMT) for label, amount in sums.items()}


def _validator(text: str, params: ChainParams) -> GenesisValidator:
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise CommandError(f'--validator "{text}" must be KEY:OPERATOR or KEY:OPERATOR:STAKE')
    key = Field(parts[0], "--validator KEY").hex(size=32)
    operator = Field(parts[1], "--validator OPERATOR").address()
    stake = Field(parts[2] if len(parts) == 3 else "0", "--validator STAKE").cmt()
    return founder(f"validator {key.hex()[:8]}", Validator(key, operator, 1), Wei(stake), params)


def _founders(entries: list[GenesisValidator], params: ChainParams) -> tuple[GenesisValidator, ...]:
    return with_stake_powers(entries, params) if any(entry.stake for entry in entries) else tuple(entries)


def _allocation(text: str) -> Allocation:
    parts = text.split(":")
    if len(parts) != 3:
        raise CommandError(f'--allocation "{text}" must be LABEL:ADDRESS:CMT')
    return Allocation(
        Field(parts[0], "--allocation LABEL").text(maximum=64),
        Field(parts[1], "--allocation ADDRESS").address(),
        Wei(Field(parts[2], "--allocation CMT").cmt()),
    )
