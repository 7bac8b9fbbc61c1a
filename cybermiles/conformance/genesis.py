"""A genesis file as geth writes it: the fork schedule, the first accounts, and block 0's header."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cybermiles.conformance.errors import ForeignChainError
from cybermiles.conformance.forks import read_schedule
from cybermiles.conformance.header import EthereumHeader
from cybermiles.state.reader import NoState
from cybermiles.state.trie import update_root
from cybermiles.state.world import WorldState
from cybermiles.types.header import EMPTY_REQUESTS_HASH
from cybermiles.types.primitives import EMPTY_TRIE_ROOT, ZERO_ADDRESS, ZERO_HASH, Address, Hash32
from cybermiles.types.receipt import EMPTY_BLOOM
from cybermiles.vm.ethereum import EthereumFork

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cybermiles.conformance.forks import ForkSchedule
    from cybermiles.state.reader import RootUpdate, StateChanges

_FIRST_BASE_FEE = 10**9
"""EIP-1559's, where the file names none."""


class ForeignGenesis(NamedTuple):
    """Block 0 and the rules of the blocks after it."""

    schedule: ForkSchedule
    header: EthereumHeader
    changes: StateChanges
    update: RootUpdate


def read_genesis(text: bytes) -> ForeignGenesis:
    """Return what a genesis file says. Raises ForeignChainError."""
    try:
        document = json.loads(text)
        schedule = read_schedule(document["config"])
        changes = _accounts(document.get("alloc") or {})
        empty = NoState()
        update = update_root(empty, empty, EMPTY_TRIE_ROOT, changes)
        header = _header(document, schedule, update.root)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ForeignChainError(f"the genesis file is not one of geth's: {error!r}") from error
    return ForeignGenesis(schedule, header, changes, update)


def _accounts(alloc: Mapping[str, Mapping[str, Any]]) -> StateChanges:
    world = WorldState(NoState())
    world.begin_transaction()
    for text, account in alloc.items():
        address = Address(bytes.fromhex(text.removeprefix("0x")))
        world.set_balance(address, _number(account.get("balance")))
        world.set_nonce(address, _number(account.get("nonce")))
        if code := _data(account.get("code")):
            world.set_code(address, code)
        for slot, value in (account.get("storage") or {}).items():
            world.set_storage(address, _number(slot), int.from_bytes(_data(value)))
    world.end_transaction()
    return world.changes()


def _header(document: Mapping[str, Any], schedule: ForkSchedule, root: Hash32) -> EthereumHeader:
    timestamp = _number(document.get("timestamp"))
    london = schedule.at(0, timestamp) >= EthereumFork.LONDON
    post_merge = {fork for first, fork in schedule.times if london and timestamp >= first}
    base_fee = document.get("baseFeePerGas")
    cancun = EthereumFork.CANCUN in post_merge
    return EthereumHeader(
        parent_hash=_hash(document.get("parentHash")),
        coinbase=Address(_data(document.get("coinbase")) or ZERO_ADDRESS),
        state_root=root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        logs_bloom=EMPTY_BLOOM,
        difficulty=_number(document.get("difficulty")),
        height=_number(document.get("number")),
        gas_limit=_number(document["gasLimit"]),
        gas_used=_number(document.get("gasUsed")),
        timestamp=timestamp,
        extra_data=_data(document.get("extraData")),
        prev_randao=_hash(document.get("mixHash", document.get("mixhash"))),
        nonce=_number(document.get("nonce")).to_bytes(8),
        base_fee_per_gas=(_number(base_fee) if base_fee is not None else _FIRST_BASE_FEE) if london else None,
        withdrawals_root=EMPTY_TRIE_ROOT if EthereumFork.SHANGHAI in post_merge else None,
        blob_gas_used=_number(document.get("blobGasUsed")) if cancun else None,
        excess_blob_gas=_number(document.get("excessBlobGas")) if cancun else None,
        parent_beacon_block_root=_hash(document.get("parentBeaconBlockRoot")) if cancun else None,
        requests_hash=EMPTY_REQUESTS_HASH if EthereumFork.PRAGUE in post_merge else None,
    )


def _number(value: Any) -> int:  # noqa: ANN401  (whatever JSON held)
    """Return a number written as JSON integer, in decimal or in hex; 0 for none."""
    if value is None or value == "":
        return 0
    if isinstance(value, int):
        return value
    return int(value, 16) if value.startswith("0x") else int(value)


def _data(value: Any) -> bytes:  # noqa: ANN401  (whatever JSON held)
    return b"" if value is None else bytes.fromhex(value.removeprefix("0x"))


def _hash(value: Any) -> Hash32:  # noqa: ANN401  (whatever JSON held)
    return Hash32(_data(value) or ZERO_HASH)
