"""cmt devnet: a local chain with funded accounts in one command."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.fees import decimal
from cybermiles.chain.reading import checksum
from cybermiles.cli.devnet_network import down, logs, status, up
from cybermiles.cli.funded import funded_accounts
from cybermiles.cli.init import initialise
from cybermiles.cli.options import home_option, resolve_home
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.errors import ConfigError
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.node import run_node
from cybermiles.types.primitives import WEI_PER_CMT

if TYPE_CHECKING:
    from collections.abc import Mapping


@click.group(invoke_without_command=True)
@home_option
@click.option("--ephemeral", is_flag=True, help="Keep nothing: use a directory that is deleted at the end.")
@click.option("--port", type=int, help="Port of JSON-RPC.  [default: 8545]")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--empty-blocks/--no-empty-blocks", default=None, help="Make blocks without transactions.")
@click.option(
    "--accounts", "shown", type=click.IntRange(0, 10), default=10, show_default=True, help="Accounts to print."
)
@click.option("--log-level", help='Such as "info" or "warning".')
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]))
@json_option
@click.pass_context
@reports_errors
def devnet(
    context: click.Context,
    *,
    home: Path | None,
    ephemeral: bool,
    port: int | None,
    host: str | None,
    empty_blocks: bool | None,
    shown: int,
    log_level: str | None,
    log_format: str | None,
    as_json: bool,
) -> None:
    """Start a local chain of one validator; state is kept across restarts. The log goes to stderr.

    The commands below run several validators in the background; the options above are for the one validator.

    \b
    Examples:
      cmt devnet
      cmt devnet --ephemeral --port 9545
      cmt devnet up --validators 4
    """
    if context.invoked_subcommand is not None:
        return
    flags = {
        "node.network": "devnet",
        "p2p.enabled": False,
        "rpc.port": port,
        "rpc.host": host,
        "consensus.create_empty_blocks": empty_blocks,
        "log.level": log_level,
        "log.format": log_format,
    }
    if ephemeral:
        if home is not None:
            raise ConfigError("--ephemeral uses a directory of its own; leave --home out")
        with tempfile.TemporaryDirectory(prefix="cmt-devnet-") as directory:
            _run(Path(directory), flags, shown, as_json=as_json)
    else:
        _run(resolve_home(home, "devnet"), flags, shown, as_json=as_json)


def _run(home: Path, flags: Mapping[str, object], shown: int, *, as_json: bool) -> None:
    directory = DataDir(home)
    if not directory.is_initialised:
        initialise(directory, "devnet")
    document = directory.load_genesis()
    funded = {allocation.address: allocation.amount for allocation in document.allocations}
    accounts = []
    for address, key in list(funded_accounts().items())[:shown]:
        coins = decimal(funded.get(address, 0), WEI_PER_CMT)
        accounts.append({"address": checksum(address), "private_key": key, "cmt_at_genesis": coins})

    def banner(url: str) -> None:
        data = {"rpc": url, "chain_id": document.chain_id, "home": str(home), "accounts": accounts}
        lines = [
            "",
            *(
                f"{a['address']}  {a['cmt_at_genesis']} CMT at genesis\n  private key {a['private_key']}"
                for a in accounts
            ),
            "",
            "These keys are public knowledge: never send anything of value to these accounts.",
            f"Data       {home}",
            f"Chain id   {document.chain_id}   currency symbol CMT",
            f"JSON-RPC   {url}   (contracts over 500000 gas from MetaMask or Remix: {url}/paid)",
        ]
        answer(data, "\n".join(lines), as_json=as_json)

    run_node(load_config(home, flags), banner=banner)


for command in (up, down, status, logs):
    devnet.add_command(command)
