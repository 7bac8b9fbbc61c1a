"""cmt testnet init: the homes of a network of several validators."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.networks import network_genesis
from cybermiles.chain.params import params_from_strings
from cybermiles.chain.reading import checksum
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.errors import ConfigError
from cybermiles.node.testnet import MAX_VALIDATORS, NetworkPlan, create_testnet
from cybermiles.types.primitives import ChainId

if TYPE_CHECKING:
    from cybermiles.chain.genesis import GenesisDocument


@click.group()
def testnet() -> None:
    """Networks of several validators, on this machine or on several."""


@testnet.command()
@click.option(
    "--validators",
    "count",
    type=click.IntRange(1, MAX_VALIDATORS),
    default=4,
    show_default=True,
    help="How many nodes.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Directory for node0, node1, …; must not hold anything yet.",
)
@click.option("--chain-id", type=click.IntRange(1, 2**53 - 1), help="Chain id.  [default: 181818, as devnet]")
@click.option(
    "--hosts",
    metavar="HOST,HOST,…",
    help="Where each node runs, one for each; without it all run on this machine at successive ports.",
)
@click.option("--rpc-port", type=click.IntRange(1, 65_535), default=8545, show_default=True, help="JSON-RPC of node0.")
@click.option("--p2p-port", type=click.IntRange(1, 65_535), default=26_656, show_default=True, help="Peers of node0.")
@click.option("--empty-blocks/--no-empty-blocks", default=True, help="Make blocks without transactions.")
@click.option(
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="Chain parameter other than devnet's, such as block_interval_ms=500. Repeatable.",
)
@json_option
@reports_errors
def init(
    *,
    count: int,
    output: Path,
    chain_id: int | None,
    hosts: str | None,
    rpc_port: int,
    p2p_port: int,
    empty_blocks: bool,
    params: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write homes with keys, one genesis document and the settings that connect them. The chain starts now.

    The coins belong to devnet's test accounts, whose keys are public knowledge: for tests only.

    \b
    Examples:
      cmt testnet init --validators 4 --output ./net
      cmt testnet init --validators 4 --output ./net --hosts a.example,b.example,c.example,d.example
    """
    directory = output.expanduser().absolute()
    plan = NetworkPlan(
        template=template(chain_id, params, dev=False),
        validators=count,
        hosts=tuple(host.strip() for host in hosts.split(",")) if hosts else (),
        rpc_port=rpc_port,
        p2p_port=p2p_port,
        create_empty_blocks=empty_blocks,
    )
    document, nodes = create_testnet(directory, plan)
    data = {
        "directory": str(directory),
        "chain_id": document.chain_id,
        "genesis_hash": "0x" + document.hash.hex(),
        "nodes": [
            {
                "name": node.name,
                "home": str(node.home),
                "p2p": str(node.address),
                "rpc": node.rpc_url,
                "validator": "0x" + node.validator.address.hex(),
                "operator": checksum(node.validator.operator),
            }
            for node in nodes
        ],
    }
    lines = [f"chain id {document.chain_id}, genesis hash 0x{document.hash.hex()}", ""]
    lines += [f"{node.name}  {node.address}  JSON-RPC {node.rpc_url}" for node in nodes]
    lines += ["", f"Next, for each node: cmt node start --home {nodes[0].home}"]
    if plan.hosts:
        lines.append("Copy each home to its machine, and its keys nowhere else.")
    answer(data, "\n".join(lines), as_json=as_json)


def template(chain_id: int | None, params: tuple[str, ...], *, dev: bool) -> GenesisDocument:
    """Return devnet's document with another id and parameters, starting now. Raises ConfigError."""
    document = network_genesis("devnet")
    changes = {}
    for text in params:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(f'--param "{text}" must be NAME=VALUE')
        changes[name] = value
    try:
        changed = params_from_strings(document.params.to_strings() | changes)
    except ConfigError as error:
        raise ConfigError(f"--param {', '.join(changes)}: {error}") from error
    document = replace(
        document,
        chain_id=ChainId(document.chain_id if chain_id is None else chain_id),
        params=changed,
        dev=dev,
    )
    return document.with_timestamp(int(time.time()))  # noqa: TID251  (the chain starts now)
