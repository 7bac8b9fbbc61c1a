"""cmt genesis new | check | hash."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cybermiles.chain.fees import decimal
from cybermiles.chain.genesis import GenesisDocument, GenesisValidator, parse_genesis
from cybermiles.chain.networks import NETWORKS, network_genesis
from cybermiles.chain.reading import Field
from cybermiles.chain.writing import format_genesis
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.execution.genesis import genesis_block
from cybermiles.types.primitives import WEI_PER_CMT, ChainId
from cybermiles.types.validator import Validator

document_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group()
def genesis() -> None:
    """Documents that chains start from."""


@genesis.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--network", type=click.Choice(tuple(NETWORKS)), default="devnet", show_default=True, help="Template.")
@click.option("--chain-id", type=click.IntRange(1, 2**53 - 1), help="Chain id, if not the template's.")
@click.option("--name", help="Name, if not the template's.")
@click.option(
    "--validator",
    "validators",
    multiple=True,
    metavar="KEY:OPERATOR[:POWER]",
    help="Founding validator: ed25519 key, account, power.",
)
@json_option
@reports_errors
def new(
    *,
    file: Path,
    network: str,
    chain_id: int | None,
    name: str | None,
    validators: tuple[str, ...],
    as_json: bool,
) -> None:
    r"""Write a new document that starts now.

    \b
    Example:
      cmt genesis new my.json --chain-id 4242 --validator 0x<32 bytes>:0x<20 bytes>:1
    """
    if file.exists():
        raise CommandError(f"{file} exists; choose another name")
    template = network_genesis(network).with_timestamp(int(time.time()))  # noqa: TID251  (the chain starts now)
    document = GenesisDocument(
        name=name or template.name,
        chain_id=ChainId(chain_id) if chain_id is not None else template.chain_id,
        timestamp=template.timestamp,
        allow_unprotected=template.allow_unprotected,
        supply=template.supply,
        params=template.params,
        validators=tuple(map(_validator, validators)) or template.validators,
        allocations=template.allocations,
        vesting=template.vesting,
    )
    text = format_genesis(document)
    parse_genesis(text)
    file.write_text(text)
    answer({"file": str(file), "hash": "0x" + document.hash.hex()}, f"{file}  0x{document.hash.hex()}", as_json=as_json)


@genesis.command()
@document_argument
@json_option
@reports_errors
def check(*, file: Path, as_json: bool) -> None:
    r"""Check a document and show what it sums to.

    \b
    Example:
      cmt genesis check genesis/mainnet.json
    """
    document = parse_genesis(file.read_text())
    sums = {a.label: decimal(a.amount, WEI_PER_CMT) for a in document.allocations}
    sums |= {f"{g.label} (vesting)": decimal(g.amount, WEI_PER_CMT) for g in document.vesting}
    supply = decimal(document.supply, WEI_PER_CMT)
    data = {
        "chain_id": document.chain_id,
        "supply_cmt": supply,
        "allocations": sums,
        "validators": len(document.validators),
    }
    lines = [f"{amount:>16} CMT  {label}" for label, amount in sums.items()]
    text = "\n".join([*lines, f"{supply:>16} CMT  supply", f"{len(document.validators)} founding validators", "OK"])
    answer(data, text, as_json=as_json)


@genesis.command("hash")
@document_argument
@json_option
@reports_errors
def hash_(*, file: Path, as_json: bool) -> None:
    r"""Print the hashes of a document and of its block 0.

    \b
    Example:
      cmt genesis hash genesis/mainnet.json
    """
    document = parse_genesis(file.read_text())
    block = genesis_block(document).header
    data = {
        "genesis_hash": "0x" + document.hash.hex(),
        "block_hash": "0x" + block.hash.hex(),
        "state_root": "0x" + block.state_root.hex(),
    }
    answer(data, "\n".join(f"{key:<13} {value}" for key, value in data.items()), as_json=as_json)


def _validator(text: str) -> GenesisValidator:
    parts = text.split(":")
    if len(parts) not in (2, 3):
        raise CommandError(f'--validator "{text}" must be KEY:OPERATOR or KEY:OPERATOR:POWER')
    key = Field(parts[0], "--validator KEY").hex(size=32)
    operator = Field(parts[1], "--validator OPERATOR").address()
    power = Field(parts[2] if len(parts) == 3 else "1", "--validator POWER")
    return GenesisValidator(
        f"validator {key.hex()[:8]}", Validator(key, operator, power.integer(minimum=1, maximum=2**60))
    )
