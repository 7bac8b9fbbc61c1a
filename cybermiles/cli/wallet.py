"""Transactions, signed here with an account of the keystore or with one that every devnet funds.

    estimate ─► (--dry-run: print) ─► unlock ─► sign ─► send ─► wait for the receipt ─► say what happened

The node sees signed bytes only. Keys of the accounts that a devnet funds are public and need no file. What the contract
would refuse is found by the estimate, before the password is asked for. Gas is the estimate and a quarter more, but
never so much that a free transaction would cost something.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cybermiles.accounts.keystore import Keystore
from cybermiles.chain.reading import Field, checksum
from cybermiles.cli.contracts import cmt, reason_of, refusals_explained, shown
from cybermiles.cli.funded import funded_accounts
from cybermiles.cli.options import home_option, password_option, read_password, reads, resolve_home, rpc_option
from cybermiles.cli.output import CommandError, Undecided, answer, json_option, reports_errors
from cybermiles.cli.rpc_client import call as rpc
from cybermiles.cli.signatures import amount_option
from cybermiles.node.data_dir import DataDir
from cybermiles.system.interface import read_events
from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.receipt import Log
from cybermiles.types.transaction_codec import UnsignedTransaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cybermiles.system.interface import NamedEvent, SystemCall

POLL_SECONDS = 0.2
_OPTIONS = (
    click.option("--from", "sender", metavar="ADDRESS", help="Account that signs.  [default: the keystore's only one]"),
    home_option,
    password_option,
    rpc_option,
    click.option("--gas", type=click.IntRange(21_000), help="Gas limit.  [default: the node's estimate and a quarter]"),
    click.option(
        "--price",
        callback=amount_option("gwei"),
        metavar="GWEI",
        help="Price of gas, such as 2 or 2.5gwei.  [default: 0 in the free lane, else the chain's least]",
    ),
    click.option("--nonce", type=click.IntRange(0), help="Nonce.  [default: the account's next one]"),
    click.option(
        "--wait", type=click.IntRange(0), default=60, show_default=True, help="Seconds to wait for the block."
    ),
    click.option("--dry-run", is_flag=True, help="Print the unsigned transaction and send nothing."),
    json_option,
)


class Outgoing(NamedTuple):
    """What a transaction says."""

    to: Address | None
    """None creates a contract."""
    data: bytes
    value: int
    """Wei."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """Who signs, and where it goes."""

    sender: Address
    home: Path | None
    password_file: Path | None
    rpc_url: str
    gas: int | None
    price: int | None
    """Wei per gas; None pays what is needed."""
    nonce: int | None
    wait: int
    dry_run: bool
    as_json: bool

    def send(self, call: SystemCall | Outgoing, done: str) -> None:
        """Send a call and answer with what came of it; `done` is the sentence for people.

        Raises CommandError with the contract's reason where it refuses, Undecided where no block has it in time.
        """
        unsigned = self._fill(call)
        if self.dry_run:
            data = _as_json(unsigned, self.sender)
            answer(data, "\n".join(f"{name:20}  {value}" for name, value in data.items()), as_json=self.as_json)
            return
        key = self._key()
        signed = unsigned.sign(key)
        tx_hash = str(rpc(self.rpc_url, "eth_sendRawTransaction", "0x" + signed.raw.hex()))
        self._report(self._wait_for(tx_hash), done)

    def _key(self) -> bytes:
        """Return the sender's private key: of a key file, else a devnet's public one."""
        keystore = _keystore(self.home)
        public = funded_accounts().get(self.sender)
        if public is not None and all(known.address != self.sender for known in keystore.list()):
            return bytes.fromhex(public[2:])
        return keystore.unlock(self.sender, read_password(self.password_file, confirm=False))

    def _fill(self, call: SystemCall | Outgoing) -> UnsignedTransaction:
        params = rpc(self.rpc_url, "cmt_params")
        free, price = int(params["free_gas_limit"]), int(params["min_gas_price"])
        gas = self.gas
        if gas is None:
            message = {"from": "0x" + self.sender.hex(), "data": "0x" + call.data.hex(), "value": hex(call.value)}
            if call.to is not None:
                message["to"] = "0x" + call.to.hex()
            estimate = int(refusals_explained(self.rpc_url, "eth_estimateGas", message), 16)
            gas = estimate * 5 // 4
            if estimate <= free:
                gas = min(gas, free)
        fee = self.price
        if fee is None:
            fee = 0 if gas <= free else price
        nonce = self.nonce
        if nonce is None:
            nonce = int(rpc(self.rpc_url, "eth_getTransactionCount", "0x" + self.sender.hex(), "pending"), 16)
        return UnsignedTransaction(
            chain_id=int(rpc(self.rpc_url, "eth_chainId"), 16),
            nonce=nonce,
            max_fee_per_gas=fee,
            max_priority_fee_per_gas=fee,
            gas_limit=gas,
            to=call.to,
            value=call.value,
            data=call.data,
        )

    def _wait_for(self, tx_hash: str) -> dict[str, Any]:
        deadline = time.monotonic() + self.wait  # noqa: TID251  (a person waits)
        while True:
            receipt = rpc(self.rpc_url, "eth_getTransactionReceipt", tx_hash)
            if isinstance(receipt, dict):
                return receipt
            status = rpc(self.rpc_url, "cmt_transactionStatus", tx_hash)
            if status["status"] == "dropped":
                raise CommandError(f"{tx_hash} was dropped: {status.get('reason', 'no reason is known')}")
            if time.monotonic() > deadline:  # noqa: TID251
                raise Undecided(f"{tx_hash} is in no block after {self.wait} s; ask `cmt tx status {tx_hash}`")
            time.sleep(POLL_SECONDS)

    def _report(self, receipt: dict[str, Any], done: str) -> None:
        tx_hash, block = receipt["transactionHash"], int(receipt["blockNumber"], 16)
        if int(receipt["status"], 16) != 1:
            status = rpc(self.rpc_url, "cmt_transactionStatus", tx_hash)
            why = reason_of(status.get("output")) or status.get("failure") or "no reason is known"
            raise CommandError(f"{tx_hash} failed in block {block}: {why}")
        events = read_events(map(_log, receipt["logs"]))
        fee = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        data = {
            "transaction": tx_hash,
            "block": block,
            "gas_used": int(receipt["gasUsed"], 16),
            "fee": str(fee),
            "lane": receipt.get("cmtLane"),
            "events": [event._asdict() for event in events],
        }
        created = receipt.get("contractAddress")
        if created:
            data["contract"] = checksum(bytes.fromhex(created[2:]))
            done = f"{done} at {data['contract']}"
        text = [done, f"block {block}, fee {cmt(fee)} CMT, transaction {tx_hash}", *map(_event_line, events)]
        answer(data, "\n".join(text), as_json=self.as_json)


def sends(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of signing and sending, and its function a `wallet` made of them."""

    @wraps(function)
    @reports_errors
    def wrapped(*, sender: str | None, home: Path | None, **options: Any) -> None:  # noqa: ANN401  (click's values)
        names = ("password_file", "rpc_url", "gas", "price", "nonce", "wait", "dry_run", "as_json")
        own = {name: options.pop(name) for name in names}
        wallet = Wallet(sender=_sender(sender, home), home=home, **own)
        function(wallet=wallet, **options)

    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def address_argument(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return click's decorator for an argument that is an account."""
    return click.argument(name, callback=reads(Field.address))


def coins_argument(name: str = "amount") -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return click's decorator for an amount in CMT; the function gets wei."""
    return click.argument(name, metavar="CMT", callback=reads(Field.cmt))


def _sender(text: str | None, home: Path | None) -> Address:
    if text is not None:
        return Field(text, "--from").address()
    known = _keystore(home).list()
    if len(known) != 1:
        raise CommandError(
            f"the keystore has {len(known)} accounts; name the one that signs with --from (an account that a devnet "
            "funds signs without a key file)"
        )
    return known[0].address


def _keystore(home: Path | None) -> Keystore:
    return Keystore(DataDir(resolve_home(home)).keystore)


def _as_json(tx: UnsignedTransaction, sender: Address) -> dict[str, Any]:
    return {
        "from": checksum(sender),
        "to": None if tx.to is None else checksum(tx.to),
        "value": hex(tx.value),
        "data": "0x" + tx.data.hex(),
        "gas": hex(tx.gas_limit),
        "maxFeePerGas": hex(tx.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(tx.max_priority_fee_per_gas),
        "nonce": hex(tx.nonce),
        "chainId": hex(tx.chain_id or 0),
        "type": hex(tx.type),
    }


def _log(entry: dict[str, Any]) -> Log:
    topics = tuple(Hash32(bytes.fromhex(topic[2:])) for topic in entry["topics"])
    return Log(Address(bytes.fromhex(entry["address"][2:])), topics, bytes.fromhex(entry["data"][2:]))


def _event_line(event: NamedEvent) -> str:
    return f"{event.name}: " + ", ".join(f"{name} {shown(name, value)}" for name, value in event.arguments.items())
