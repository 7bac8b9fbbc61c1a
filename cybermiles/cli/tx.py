"""cmt tx send | decode | status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cybermiles.chain.fees import Lane, LaneBook, decimal
from cybermiles.chain.params import ChainParams, params_from_strings
from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.artifacts import read_abi
from cybermiles.cli.contracts import cmt
from cybermiles.cli.options import reads, reads_optional, rpc_option
from cybermiles.cli.output import EXIT_ERROR, CommandError, answer, json_option, reports_errors
from cybermiles.cli.reverts import explain_revert
from cybermiles.cli.rpc_client import call
from cybermiles.cli.signatures import amount_option, encode_arguments, function_of, parse_function
from cybermiles.cli.wallet import Outgoing, Wallet, sends
from cybermiles.errors import CybermilesError, InvalidTransaction
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction import ACCESS_LIST, DYNAMIC_FEE, LEGACY, SET_CODE
from cybermiles.types.transaction_codec import decode_transaction

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address
    from cybermiles.types.transaction import Transaction

_TYPES = {LEGACY: "legacy", ACCESS_LIST: "access list", DYNAMIC_FEE: "dynamic fee", SET_CODE: "set code"}
_LANES = {Lane.FREE: "free", Lane.PAID: "paid", Lane.SPONSORED: "sponsored"}


@click.group()
def tx() -> None:
    """Transactions."""


@tx.command()
@click.argument("arguments", nargs=-1)
@click.option(
    "--to",
    metavar="ADDRESS",
    callback=reads_optional(Field.address),
    help="Who is paid or called.",
)
@click.option(
    "--value",
    default="0",
    show_default=True,
    metavar="CMT",
    callback=amount_option("cmt"),
    help="Coins to send, such as 1.5, 20gwei or 7wei.",
)
@click.option("--data", metavar="HEX", help="Calldata, or creation code without --to.")
@click.option(
    "--call", "function", metavar="FUNCTION", help='Function to call with ARGUMENTS, as "transfer(address,uint256)".'
)
@sends
def send(
    *,
    arguments: tuple[str, ...],
    to: Address | None,
    value: int,
    data: str | None,
    function: str | None,
    wallet: Wallet,
) -> None:
    """Send coins or call a contract; signed here with --from, an account of the keystore or one a devnet funds.

    \b
    Examples:
      cmt tx send --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --value 1.5
      cmt tx send --to 0x5FbDB2315678afecb367f032d93F642f64180aa3 --call "transfer(address,uint256)" \\
          0x70997970C51812dc3A010C7d01b50e0d17dc79C8 100
    """
    if function is not None and data is not None:
        raise click.UsageError("--call makes the calldata; leave --data out")
    if function is None and arguments:
        raise click.UsageError("arguments belong to a function; name it with --call")
    if to is None and data is None:
        raise click.UsageError("name the recipient with --to, or give creation code with --data")
    calldata = call_data(function, arguments) if function is not None else _hex(data or "0x", "--data")
    done = "created a contract" if to is None else f"sent {cmt(value)} CMT to {checksum(to)}"
    wallet.send(Outgoing(to, calldata, value), done)


@tx.command()
@click.argument("raw")
@rpc_option
@json_option
@reports_errors
def decode(*, raw: str, rpc_url: str, as_json: bool) -> None:
    """Show what the signed transaction RAW (0x and hex digits) says, who signed it, and which lane it would take.

    The lane is told by the parameters of the node at --rpc, or by the standard ones where no node answers.

    \b
    Example:
      cmt tx decode 0x02f86b8302c63a80808082520894…
    """
    try:
        transaction = decode_transaction(_hex(raw, "RAW"))
        sender = transaction.sender
    except InvalidTransaction as error:
        raise CommandError(f"not a transaction: {error}") from error
    params, origin = _params(rpc_url)
    data: dict[str, Any] = {
        "hash": "0x" + transaction.hash.hex(),
        "type": transaction.type,
        "typeName": _TYPES[transaction.type],
        "from": checksum(sender),
        "to": None if transaction.to is None else checksum(transaction.to),
        "creates": transaction.to is None,
        "value": str(transaction.value),
        "nonce": transaction.nonce,
        "gas": transaction.gas_limit,
        "maxFeePerGas": str(transaction.max_fee_per_gas),
        "maxPriorityFeePerGas": str(transaction.max_priority_fee_per_gas),
        "chainId": transaction.chain_id,
        "data": "0x" + transaction.data.hex(),
        "accessList": [
            {"address": checksum(address), "storageKeys": [f"0x{slot:064x}" for slot in slots]}
            for address, slots in transaction.access_list
        ],
        "authorizations": [
            {"chainId": entry.chain_id, "address": checksum(entry.address), "nonce": entry.nonce}
            for entry in transaction.authorizations
        ],
        "v": transaction.y_parity,
        "r": hex(transaction.r),
        "s": hex(transaction.s),
        **_lane(transaction, params),
        "parametersOf": origin,
    }
    answer(data, _decoded_text(data, transaction), as_json=as_json)


@tx.command()
@click.argument("transaction_hash", callback=reads(lambda field: field.hex(size=32)))
@click.option("--abi", "abi_file", metavar="FILE", help="ABI or artifact that has the contract's own errors.")
@rpc_option
@json_option
@reports_errors
def status(*, transaction_hash: bytes, abi_file: str | None, rpc_url: str, as_json: bool) -> None:
    """Say where a transaction is, what it did, or why it was refused. Ends with code 1 where the node does not know it.

    \b
    Example:
      cmt tx status 0x5c504ed432cb51138bcf09aa5e8a410dd4a1e204ef84bfed1be16dfba1b22060
    """
    text_hash = "0x" + transaction_hash.hex()
    result = call(rpc_url, "cmt_transactionStatus", text_hash)
    is_known = result["status"] != "unknown"
    parts = [result["status"]]
    lines = []
    if result.get("blockNumber") is not None:
        parts.append(f"in block {int(result['blockNumber'], 16)}")
        result = dict(result, receipt=call(rpc_url, "eth_getTransactionReceipt", text_hash))
        lines = _included(result, None if abi_file is None else read_abi(abi_file))
    if result.get("reason"):
        parts.append(f"because: {result['reason']}")
    if not is_known:
        parts.append("to this node: it never arrived, or over an hour ago")
    answer(result, "\n".join([" ".join(parts), *lines]), as_json=as_json)
    if not is_known:
        raise SystemExit(EXIT_ERROR)


def call_data(function: str, arguments: tuple[str, ...]) -> bytes:
    """Return the calldata of a typed function with typed arguments. Raises CommandError."""
    entry = parse_function(function)
    return function_of(entry).selector + encode_arguments(entry, arguments)


def _included(result: dict[str, Any], abi: list[Any] | None) -> list[str]:
    """Return the lines about a transaction in a block; a failed one gets its reason, in `result` too."""
    gas, price = int(result["gasUsed"], 16), int(result["effectiveGasPrice"], 16)
    lines = [
        f"lane {result['lane']}, gas {gas}, fee {cmt(gas * price)} CMT, compute units {int(result['computeUnits'], 16)}"
    ]
    created = (result["receipt"] or {}).get("contractAddress")
    if created:
        lines.append(f"created {checksum(bytes.fromhex(created[2:]))}")
    if not result["succeeded"]:
        result["explanation"] = (
            explain_revert(result.get("output"), abi) or result.get("failure") or "no reason is known"
        )
        lines.append(f"failed: {result['explanation']}")
    return lines


def _lane(transaction: Transaction, params: ChainParams) -> dict[str, Any]:
    """Return which lane an empty block would give, and what keeps it out of every lane."""
    try:
        decision = LaneBook(params).assign(transaction)
    except CybermilesError as error:
        return {"lane": None, "laneReason": f"{error}; a sponsor's deposit may pay for it"}
    if decision.lane is not Lane.FREE:
        fee = transaction.gas_limit * decision.gas_price
        return {
            "lane": _LANES[decision.lane],
            "laneReason": f"pays {decimal(decision.gas_price, GWEI)} gwei a gas, {cmt(fee)} CMT at most",
        }
    room = f"{params.free_slots_per_block} slots a block, one a sender"
    return {"lane": "free", "laneReason": f"costs nothing while a free slot is left ({room})"}


def _params(rpc_url: str) -> tuple[ChainParams, str]:
    try:
        return params_from_strings(call(rpc_url, "cmt_params")), rpc_url
    except CommandError:
        return ChainParams(), "the standard chain"


def _decoded_text(data: dict[str, Any], transaction: Transaction) -> str:
    shown = {
        name: value
        for name, value in data.items()
        if value not in (None, []) and name not in ("v", "r", "s", "type", "creates")
    }
    shown |= {
        "value": f"{cmt(transaction.value)} CMT",
        "maxFeePerGas": f"{decimal(transaction.max_fee_per_gas, GWEI)} gwei",
        "maxPriorityFeePerGas": f"{decimal(transaction.max_priority_fee_per_gas, GWEI)} gwei",
    }
    if transaction.to is None:
        shown["to"] = "creates a contract"
    return "\n".join(f"{name:20}  {value}" for name, value in shown.items())


def _hex(text: str, name: str) -> bytes:
    digits = text.removeprefix("0x")
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise click.UsageError(f"{name} is not 0x and hex digits") from error
