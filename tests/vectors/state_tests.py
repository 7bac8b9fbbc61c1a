"""The official state-test format over our VM, our world state and our trie, under plain Ethereum's rules.

A case passes when it is accepted or refused as expected, and the state root and the hash of the logs agree.
"""

from __future__ import annotations

import json
import os
import tarfile
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cybermiles.crypto.hashing import keccak256
from cybermiles.crypto.secp256k1 import address_of
from cybermiles.errors import CybermilesError, InvalidTransaction
from cybermiles.state.reader import NoState
from cybermiles.state.trie import update_root
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, Address, Hash32, Wei
from cybermiles.types.receipt import encode_logs
from cybermiles.types.transaction import (
    ACCESS_LIST,
    BLOB,
    DYNAMIC_FEE,
    LEGACY,
    SET_CODE,
    Authorization,
    Transaction,
)
from cybermiles.types.transaction_codec import decode_transaction
from cybermiles.vm.backend import BlockContext
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.pyevm.program import RUNS_BEFORE_FUSING
from cybermiles.vm.pyevm.startup import EXECUTION_STACK_BYTES, prepare_runtime
from cybermiles.vm.rules import Fork, ethereum_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
ARCHIVE = Path(os.environ.get("CMT_VECTORS", ROOT.parent / "shared" / "vectors")) / "ethereum" / "state_tests.tar.xz"
FORKS = {"Cancun": Fork.CANCUN, "Prague": Fork.PRAGUE, "Osaka": Fork.OSAKA}

EXCLUDED: dict[str, str] = {}
"""Part of a case's name to the reason why it cannot pass here."""


@dataclass(frozen=True)
class Case:
    """One transaction of one file under one fork."""

    name: str
    fork: str
    data: dict[str, Any]
    post: dict[str, Any]

    @property
    def folder(self) -> str:
        """The folder of the case's file: what it is about."""
        return self.name.partition("::")[0].rpartition("/")[0]

    @property
    def digest(self) -> bytes:
        """A hash that names the case."""
        return keccak256(f"{self.fork} {self.name} {sorted(self.post['indexes'].items())}".encode())


fuse_after = RUNS_BEFORE_FUSING
"""Runs of a piece of code before it is compiled; set before the first case."""
_backends: dict[str, PyEvmBackend] = {}


def backend(fork: str) -> PyEvmBackend:
    """Return the one backend of a fork, with its code cache."""
    if fork not in _backends:
        _backends[fork] = PyEvmBackend(ethereum_rules(FORKS[fork], 1), fuse_after=fuse_after)
    return _backends[fork]


def cases(name_filter: str = "", fork: str = "") -> Iterator[Case]:
    """Yield every case of the archive in order of files."""
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if not member.isfile() or not member.name.endswith(".json"):
                continue
            file = archive.extractfile(member)
            content = b"" if file is None else file.read()
            if content.startswith(b"{"):  # one file of the archive is a pointer to large-file storage
                yield from _cases_of(json.loads(content), member.name, name_filter, fork)


def _cases_of(document: dict[str, Any], file: str, name_filter: str, fork: str) -> Iterator[Case]:
    for name, data in document.items():
        full = f"{file}::{name}"
        if name_filter in full:
            for post_fork, posts in data["post"].items():
                if post_fork in FORKS and fork in ("", post_fork):
                    for post in posts:
                        yield Case(full, post_fork, data, post)


def exclusion(case: Case) -> str | None:
    """Return why the case is left out, or None."""
    return next((reason for part, reason in EXCLUDED.items() if part in case.name), None)


def sample(size: int) -> list[Case]:
    """Return a fixed choice of cases: one of each folder under each fork, then a second of each, until there are `size`.

    Which one is next, and who is left out of the last turn, is decided by the cases' hashes: the same in every run,
    and chosen by nobody. The archive is read twice because all of its cases take far more memory than their hashes.
    """
    groups: dict[tuple[str, str], list[bytes]] = {}
    for case in cases():
        if exclusion(case) is None:
            groups.setdefault((case.folder, case.fork), []).append(case.digest)
    turns = sorted((turn, digest) for group in groups.values() for turn, digest in enumerate(sorted(group)))
    chosen = {digest for _, digest in turns[:size]}
    return [case for case in cases() if case.digest in chosen]


def run(case: Case) -> str | None:
    """Run a case; return None where it passes, else what differs."""
    world = _world(case.data["pre"])
    pre = world.changes()
    reader = _Pre(pre)
    parent = update_root(NoState(), NoState(), EMPTY_TRIE_ROOT, pre)
    reader.take(parent)
    world = WorldState(reader)
    context = _context(case.data["env"])
    logs: tuple[Any, ...] = ()
    refused: str | None = None
    try:
        transaction = _transaction(case)
        result = backend(case.fork).execute_transaction(
            world,
            context,
            transaction,
            gas_price=Wei(transaction.effective_gas_price(context.base_fee)),
            compute_units=None,
        )
        logs = result.logs
    except InvalidTransaction as error:
        refused = str(error) or type(error).__name__
    expected_refusal = case.post.get("expectException")
    if (refused is None) != (expected_refusal is None):
        return f"refused: {refused}, expected: {expected_refusal}"
    root = update_root(reader, reader, parent.root, world.changes()).root
    if root != _bytes(case.post["hash"]):
        return f"root {root.hex()}, expected {case.post['hash']}"
    if keccak256(encode_logs(logs)) != _bytes(case.post["logs"]):
        return "the logs differ"
    return _check_wire_bytes(case, refused)


def _check_wire_bytes(case: Case, refused: str | None) -> str | None:
    """Where the file has the signed bytes, our decoder must find the same sender and hash in them."""
    raw = _bytes(case.post.get("txbytes", "0x"))
    if not raw or refused is not None or raw[0] == BLOB:
        return None
    try:
        sender = decode_transaction(raw).sender
    except CybermilesError as error:
        return f"valid wire bytes are refused: {error}"
    expected = _sender(case.data["transaction"])
    return None if sender == expected else f"sender {sender.hex()}, expected {expected.hex()}"


class _Pre(NoState):
    """The state before the case: what the pre section says, with its trie."""

    def __init__(self, changes: Any) -> None:
        self.changes = changes

    def take(self, update: Any) -> None:
        self.update = update

    def account(self, address: Address) -> Any:
        return self.update.accounts.get(address)

    def storage(self, address: Address, slot: int) -> int:
        return self.changes.storage.get(address, {}).get(slot, 0)

    def code(self, code_hash: Hash32) -> bytes:
        return self.changes.codes[code_hash]

    def node(self, owner: bytes, node_hash: Hash32) -> bytes:
        return self.update.nodes[owner, node_hash]


def _world(pre: dict[str, Any]) -> WorldState:
    world = WorldState(NoState())
    world.begin_transaction()
    for address_text, account in pre.items():
        address = Address(_bytes(address_text))
        world.set_nonce(address, _int(account["nonce"]))
        world.set_balance(address, _int(account["balance"]))
        world.set_code(address, _bytes(account["code"]))
        for slot, value in account["storage"].items():
            world.set_storage(address, _int(slot), _int(value))
    return world


def _context(env: dict[str, Any]) -> BlockContext:
    height = _int(env["currentNumber"])
    coinbase = Address(_bytes(env["currentCoinbase"]))

    def block_hash(number: int) -> Hash32 | None:
        if not max(0, height - 256) <= number < height:
            return None
        return Hash32(keccak256(str(number).encode()))

    return BlockContext(
        height=height,
        timestamp=_int(env["currentTimestamp"]),
        coinbase=coinbase,
        gas_limit=_int(env["currentGasLimit"]),
        prev_randao=Hash32(_int(env.get("currentRandom", "0x00")).to_bytes(32)),
        base_fee=_int(env["currentBaseFee"]),
        fee_recipient=coinbase,
        block_hash=block_hash,
        excess_blob_gas=_int(env.get("currentExcessBlobGas", "0x00")),
    )


def _transaction(case: Case) -> Transaction:
    fields = case.data["transaction"]
    indexes = case.post["indexes"]
    access_lists = fields.get("accessLists")
    access_list = access_lists[indexes["data"]] if access_lists else None
    if "maxFeePerBlobGas" in fields:
        kind = BLOB
    elif "authorizationList" in fields:
        kind = SET_CODE
    elif "maxFeePerGas" in fields:
        kind = DYNAMIC_FEE
    else:
        kind = LEGACY if access_list is None else ACCESS_LIST
    cap = _int(fields.get("maxFeePerGas") or fields.get("gasPrice"))
    return Transaction(
        type=kind,
        chain_id=1,
        nonce=_bounded(fields["nonce"], 64),
        max_fee_per_gas=cap,
        max_priority_fee_per_gas=_int(fields.get("maxPriorityFeePerGas", hex(cap))),
        gas_limit=_bounded(fields["gasLimit"][indexes["gas"]], 64),
        to=Address(_bytes(fields["to"])) or None,
        value=_bounded(fields["value"][indexes["value"]], 256),
        data=_bytes(fields["data"][indexes["data"]]),
        y_parity=0,
        r=0,
        s=0,
        raw=b"",
        access_list=tuple(
            (Address(_bytes(entry["address"])), tuple(map(_int, entry["storageKeys"]))) for entry in access_list or ()
        ),
        authorizations=tuple(map(_authorization, fields.get("authorizationList") or ())),
        max_fee_per_blob_gas=_int(fields.get("maxFeePerBlobGas", "0x0")),
        blob_versioned_hashes=tuple(Hash32(_bytes(versioned)) for versioned in fields.get("blobVersionedHashes", ())),
        sender=_sender(fields),
    )


def _authorization(item: dict[str, Any]) -> Authorization:
    parity = item.get("yParity", item.get("v"))
    return Authorization(
        _int(item["chainId"]),
        Address(_bytes(item["address"])),
        _int(item["nonce"]),
        _int(parity),
        _int(item["r"]),
        _int(item["s"]),
    )


def _sender(fields: dict[str, Any]) -> Address:
    if "sender" in fields:
        return Address(_bytes(fields["sender"]))
    return Address(address_of(_int(fields["secretKey"]).to_bytes(32)))


def _bounded(text: str, bits: int) -> int:
    value = _int(text)
    if value >> bits:
        raise InvalidTransaction(f"over {bits} bits")
    return value


def _int(text: str) -> int:
    return int(text, 16) if text not in ("", "0x") else 0


def _bytes(text: str) -> bytes:
    digits = text.removeprefix("0x")
    return bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)


def failures_of(cases: Iterable[Case]) -> list[str]:
    """What went wrong in each failed case. Runs in a thread with the stack that block execution has."""
    failures: list[str] = []

    def work() -> None:
        prepare_runtime()
        for case in cases:
            try:
                verdict = run(case)
            except Exception:
                verdict = traceback.format_exc()
            if verdict is not None:
                failures.append(f"{case.name} {case.post['indexes']}: {verdict}")

    previous = threading.stack_size(EXECUTION_STACK_BYTES)
    try:
        thread = threading.Thread(target=work)
        thread.start()
    finally:
        threading.stack_size(previous)
    thread.join()
    return failures
