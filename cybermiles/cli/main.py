"""The command group `cmt`."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version

import click

from cybermiles import __version__
from cybermiles.cli.account import account
from cybermiles.cli.attach import attach
from cybermiles.cli.completion import completion
from cybermiles.cli.config import config
from cybermiles.cli.conformance import conformance
from cybermiles.cli.contract import contract
from cybermiles.cli.devnet import devnet
from cybermiles.cli.genesis import genesis
from cybermiles.cli.gov import gov
from cybermiles.cli.init import init
from cybermiles.cli.key import key
from cybermiles.cli.node import node
from cybermiles.cli.output import EXIT_CODES, answer, json_option
from cybermiles.cli.sponsor import sponsor
from cybermiles.cli.stake import stake
from cybermiles.cli.testnet import testnet
from cybermiles.cli.tx import tx
from cybermiles.cli.vesting import vesting


@click.group(epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """CyberMiles: a full node, its keys and its transactions.

    \b
    Example:
      cmt devnet            start a local chain with funded accounts
    """


@main.command()
@json_option
def version(*, as_json: bool) -> None:
    """Show versions of the node and of what decides consensus.

    \b
    Example:
      cmt version --json
    """
    data = {
        "cybermiles": __version__,
        "python": platform.python_version(),
        "py-evm": installed_version("py-evm"),
    }
    answer(data, "\n".join(f"{name} {value}" for name, value in data.items()), as_json=as_json)


for command in (
    devnet,
    testnet,
    init,
    node,
    key,
    account,
    genesis,
    tx,
    contract,
    stake,
    gov,
    vesting,
    sponsor,
    attach,
    config,
    conformance,
    completion,
):
    main.add_command(command)
