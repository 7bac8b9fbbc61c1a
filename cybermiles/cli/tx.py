"""cmt tx status."""

from __future__ import annotations

import click

from cybermiles.chain.reading import Field
from cybermiles.cli.options import rpc_option
from cybermiles.cli.output import CommandError, answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call


@click.group()
def tx() -> None:
    """Transactions."""


@tx.command()
@click.argument("transaction_hash")
@rpc_option
@json_option
@reports_errors
def status(*, transaction_hash: str, rpc_url: str, as_json: bool) -> None:
    """Say where a transaction is, or why it was refused.

    \b
    Example:
      cmt tx status 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060
    """
    Field(transaction_hash, "TRANSACTION_HASH").hex(size=32)
    result = call(rpc_url, "cmt_transactionStatus", transaction_hash)
    if result["status"] == "unknown":
        raise CommandError("this node does not know the transaction: it never arrived, or over an hour ago")
    parts = [result["status"]]
    if result.get("blockNumber") is not None:
        parts.append(f"in block {int(result['blockNumber'], 16)}")
    if result.get("reason"):
        parts.append(f"because: {result['reason']}")
    answer(result, " ".join(parts), as_json=as_json)
