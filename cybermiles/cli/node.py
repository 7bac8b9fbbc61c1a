"""cmt node start | status | reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cybermiles.cli.options import home_option, resolve_home, rpc_option
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.node import run_node

if TYPE_CHECKING:
    from pathlib import Path


@click.group()
def node() -> None:
    """Run and watch a node."""


@node.command()
@home_option
@click.option("--rpc-port", type=int, help="Port of JSON-RPC.")
@click.option("--rpc-host", help="Address to listen on.")
@click.option("--empty-blocks/--no-empty-blocks", default=None, help="Make blocks without transactions.")
@click.option("--log-level", help='Such as "info" or "consensus=debug,info".')
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]))
@json_option
@reports_errors
def start(
    *,
    home: Path | None,
    rpc_port: int | None,
    rpc_host: str | None,
    empty_blocks: bool | None,
    log_level: str | None,
    log_format: str | None,
    as_json: bool,
) -> None:
    """Run the node until SIGTERM or Ctrl-C. Says where it serves once it does; its log goes to stderr.

    \b
    Example:
      cmt node start --home ./node --rpc-port 8545
    """
    flags = {
        "rpc.port": rpc_port,
        "rpc.host": rpc_host,
        "consensus.create_empty_blocks": empty_blocks,
        "log.level": log_level,
        "log.format": log_format,
    }
    directory = resolve_home(home)

    def banner(url: str) -> None:
        answer({"rpc": url, "home": str(directory)}, f"JSON-RPC   {url}", as_json=as_json)

    run_node(load_config(directory, flags), banner=banner)


@node.command()
@rpc_option
@json_option
@reports_errors
def status(*, rpc_url: str, as_json: bool) -> None:
    """Ask a running node how it is.

    \b
    Example:
      cmt node status --json
    """
    block = call(rpc_url, "eth_getBlockByNumber", "latest", *(False,))
    pool = call(rpc_url, "txpool_status")
    data = {
        "version": call(rpc_url, "web3_clientVersion"),
        "chain_id": int(call(rpc_url, "eth_chainId"), 16),
        "height": int(block["number"], 16),
        "block_hash": block["hash"],
        "block_time": int(block["timestamp"], 16),
        "pending": int(pool["pending"], 16),
        "queued": int(pool["queued"], 16),
        "peers": int(call(rpc_url, "net_peerCount"), 16),
    }
    answer(data, "\n".join(f"{name:<12}{value}" for name, value in data.items()), as_json=as_json)


@node.command()
@home_option
@click.option("--with-signer-state", is_flag=True, help="Also forget what the validator key signed.")
@click.confirmation_option(prompt="Delete all blocks and state of this node?")
@json_option
@reports_errors
def reset(*, home: Path | None, with_signer_state: bool, as_json: bool) -> None:
    """Delete blocks and state; keys, accounts and genesis stay.

    A validator that forgets what it signed can sign twice and lose its stake: use --with-signer-state on a devnet only.

    \b
    Example:
      cmt node reset --home ./node --yes
    """
    directory = DataDir(resolve_home(home))
    directory.reset(with_signer_state=with_signer_state)
    answer({"home": str(directory.home)}, f"deleted the chain data in {directory.home}", as_json=as_json)
