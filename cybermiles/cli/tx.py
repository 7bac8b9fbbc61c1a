"""cmt tx status."""

from __future__ import annotations

import click

from cybermiles.cli.options import reads, rpc_option
from cybermiles.cli.output import EXIT_ERROR, answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call


@click.group()
def tx() -> None:
    """Transactions."""


@tx.command()
@click.argument("transaction_hash", callback=reads(lambda field: field.hex(size=32)))
@rpc_option
@json_option
@reports_errors
def status(*, transaction_hash: bytes, rpc_url: str, as_json: bool) -> None:
    """Say where a transaction is, or why it was refused. Ends with code 1 where the node does not know it.

    \b
    Example:
      cmt tx status 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060
    """
    result = call(rpc_url, "cmt_transactionStatus", "0x" + transaction_hash.hex())
    is_known = result["status"] != "unknown"
    parts = [result["status"]]
    if result.get("blockNumber") is not None:
        parts.append(f"in block {int(result['blockNumber'], 16)}")
    if result.get("reason"):
        parts.append(f"because: {result['reason']}")
    if not is_known:
        parts.append("to this node: it never arrived, or over an hour ago")
    answer(result, " ".join(parts), as_json=as_json)
    if not is_known:
        raise SystemExit(EXIT_ERROR)
