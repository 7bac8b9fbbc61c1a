"""cmt devnet: a local chain with funded accounts in one command."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cybermiles.chain.fees import decimal
from cybermiles.chain.reading import checksum
from cybermiles.cli.init import initialise
from cybermiles.cli.options import home_option, resolve_home
from cybermiles.cli.output import answer, json_option, reports_errors
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.errors import ConfigError
from cybermiles.node.config import load_config
from cybermiles.node.data_dir import DataDir
from cybermiles.node.node import run_node
from cybermiles.types.primitives import WEI_PER_CMT, Address

if TYPE_CHECKING:
    from collections.abc import Mapping

TEST_KEYS = (
    "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    "7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
    "47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a",
    "8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba",
    "92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e",
    "4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356",
    "dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97",
    "2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6",
)
"""Keys of the well-known mnemonic "test test … junk": everybody has them."""


@click.command()
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
@reports_errors
def devnet(
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

    \b
    Examples:
      cmt devnet
      cmt devnet --ephemeral --port 9545
    """
    flags = {
        "node.network": "devnet",
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
    for key in TEST_KEYS[:shown]:
        address = Address(address_of(bytes.fromhex(key)))
        coins = decimal(funded.get(address, 0), WEI_PER_CMT)
        accounts.append({"address": checksum(address), "private_key": f"0x{key}", "cmt_at_genesis": coins})

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
