"""cmt node start | status | show-id | rollback | reset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cybermiles.cli.options import home_option, resolve_home, rpc_option
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call, fetch_status
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.node import run_node
from cybermiles.node.rollback import roll_back
from cybermiles.p2p.identity import Endpoint

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
    status_ = fetch_status(rpc_url)
    pool = call(rpc_url, "txpool_status")
    node_info, sync, peers, consensus = (status_[part] for part in ("node_info", "sync_info", "peers", "consensus"))
    validator = status_["validator_info"] or {}
    data = {
        "version": node_info["version"],
        "chain_id": int(node_info["network"]),
        "node_id": node_info["id"],
        "moniker": node_info["moniker"],
        "height": sync["latest_block_height"],
        "block_hash": sync["latest_block_hash"],
        "block_time": sync["latest_block_time"],
        "catching_up": sync["catching_up"],
        "highest_height": sync["highest_height"],
        "pending": int(pool["pending"], 16),
        "queued": int(pool["queued"], 16),
        "peers": peers["connected"],
        "validator": validator.get("address"),
        "voting_power": validator.get("voting_power", 0),
        "round": consensus["round"],
        "step": consensus["step"],
        "explanation": consensus["explanation"],
    }
    answer(data, "\n".join(f"{name:<16}{_shown(value)}" for name, value in data.items()), as_json=as_json)


@node.command("show-id")
@home_option
@json_option
@reports_errors
def show_id(*, home: Path | None, as_json: bool) -> None:
    """Print the id that peers know this node by; others reach it as ID@HOST:PORT. A home without one gets one.

    \b
    Example:
      cmt node show-id --home ./node
    """
    directory = DataDir(resolve_home(home))
    directory.load_genesis()
    id_ = directory.load_or_create_node_key().id
    config = load_config(directory.home)
    listen = str(config.p2p.external_address or Endpoint(config.p2p.listen_host, config.p2p.listen_port))
    answer({"id": id_, "listen": listen, "key": str(directory.node_key)}, id_, as_json=as_json)


@node.command()
@home_option
@click.confirmation_option(prompt="Undo the newest block of this node?")
@json_option
@reports_errors
def rollback(*, home: Path | None, as_json: bool) -> None:
    """Undo the newest block, so that it is fetched and executed again. The node must be stopped.

    For a node whose newest block is suspect. Other nodes must have the block: this one does not decide it again. A
    validator that signed for the block, or above it, is refused: without the votes it gave it could contradict them.

    \b
    Example:
      cmt node rollback --home ./node --yes
    """
    directory = DataDir(resolve_home(home))
    removed, head = roll_back(directory)
    data = {"removed_height": removed, "height": head.height, "block_hash": "0x" + head.block_hash.hex()}
    answer(data, f"block {removed} is undone; the head is block {head.height}", as_json=as_json)


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


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
