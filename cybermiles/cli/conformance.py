"""cmt conformance serve."""

from __future__ import annotations

from pathlib import Path

import click

from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.conformance.chain import load_chain
from cybermiles.conformance.server import serve as serve_chain
from cybermiles.vm.pyevm.startup import prepare_runtime

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def conformance() -> None:
    """Compare this node's JSON-RPC with Ethereum's."""


@conformance.command()
@click.option("--genesis", type=_FILE, required=True, help="Genesis file as geth writes it.")
@click.option("--chain", type=_FILE, required=True, help="Blocks after it: RLP, one after the other.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8545, show_default=True, help="Port of JSON-RPC; 0 takes a free one.")
@click.option(
    "--block-timestamps/--no-block-timestamps",
    default=None,
    help="Show blockTimestamp in logs and transactions; by default where the chain knows Osaka.",
)
@json_option
@reports_errors
def serve(*, genesis: Path, chain: Path, host: str, port: int, block_timestamps: bool | None, as_json: bool) -> None:
    """Serve a foreign Ethereum chain read-only, under Ethereum's rules. Runs until SIGTERM or Ctrl-C.

    Every block is executed and every root compared before the first answer.

    \b
    Example:
      cmt conformance serve --genesis genesis.json --chain chain.rlp --port 8545
    """
    prepare_runtime()
    imported = load_chain(genesis.read_bytes(), chain.read_bytes())
    height, head = imported.head_height(), "0x" + imported.head.hash.hex()

    def banner(url: str) -> None:
        data = {"rpc": url, "chain_id": imported.chain_id, "height": height, "head": head}
        answer(data, f"JSON-RPC   {url}\nhead       block {height}, {head}", as_json=as_json)

    serve_chain(imported, host=host, port=port, block_timestamps=block_timestamps, banner=banner)
