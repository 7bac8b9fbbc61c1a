"""Run a scenario on pyrevm and on our backend and compare everything both can tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pyrevm

from cybermiles.crypto.hashing import keccak256
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_HASH, Address, Hash32
from cybermiles.vm.backend import BlockContext, CallMessage, Failure
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import Fork, ethereum_rules
from cybermiles.vm.validity import floor_gas
from tests.differential.programs import (
    COINBASE,
    CONTRACTS,
    PLAIN_ACCOUNT,
    SENDER,
    SLOTS,
    Scenario,
)

BALANCES = {SENDER: 10**20, PLAIN_ACCOUNT: 7, **dict.fromkeys(CONTRACTS, 10**18)}
OBSERVED = (*CONTRACTS, PLAIN_ACCOUNT, COINBASE, b"\xdd" * 20)
GAS_LIMIT = 2**64 - 1
"""pyrevm gives the GASLIMIT opcode its own default, whatever it is told."""
_OUTPUT = re.compile(r"output: 0x([0-9a-f]*)")


@dataclass(frozen=True, slots=True)
class Effects:
    """What an execution did, in terms that both engines have."""

    outcome: str
    gas_used: int
    output: bytes
    logs: tuple[Any, ...]
    state: tuple[Any, ...]


def ours(item: Scenario, backend: PyEvmBackend) -> Effects:
    """Execute on our backend as a call."""
    world = WorldState(NoState())
    world.begin_transaction()
    for address, balance in BALANCES.items():
        world.set_balance(Address(address), balance)
    for address, code in zip(CONTRACTS, item.codes, strict=True):
        world.set_nonce(Address(address), 1)
        world.set_code(Address(address), code)
    for slot, value in item.storage.items():
        world.set_storage(Address(CONTRACTS[0]), slot, value)
    world.end_transaction()
    context = BlockContext(
        height=10, timestamp=100, coinbase=Address(COINBASE), gas_limit=GAS_LIMIT, prev_randao=ZERO_HASH,
        base_fee=0, fee_recipient=Address(COINBASE), block_hash=_block_hash,
    )  # fmt: skip
    message = CallMessage(
        sender=Address(SENDER), to=Address(CONTRACTS[0]), gas=item.gas, value=item.value, data=item.data
    )
    result = backend.call(world, context, message, compute_units=None)
    outcome = "success" if result.failure is None else "revert" if result.failure is Failure.REVERT else "halt"
    return Effects(
        outcome,
        result.gas_used,
        result.output if outcome != "halt" else b"",
        tuple((log.address, log.topics, log.data) for log in result.logs),
        tuple(
            (address, world.balance(Address(address)), world.nonce(Address(address)), world.code(Address(address)),
             tuple(world.storage(Address(address), slot) for slot in SLOTS))
            for address in OBSERVED
        ),
    )  # fmt: skip


def theirs(item: Scenario, spec: str) -> Effects:
    """Execute on revm."""
    block = pyrevm.BlockEnv(
        number=10, coinbase=_hex(COINBASE), timestamp=100, prevrandao=bytes(32), basefee=0,
        gas_limit=GAS_LIMIT, excess_blob_gas=0,
    )  # fmt: skip
    evm = pyrevm.EVM(env=pyrevm.Env(cfg=pyrevm.CfgEnv(chain_id=1), block=block), spec_id=spec)
    codes = dict(zip(CONTRACTS, item.codes, strict=True))
    for address, balance in BALANCES.items():
        code = codes.get(address)
        nonce = 0 if code is None else 1
        evm.insert_account_info(_hex(address), pyrevm.AccountInfo(nonce=nonce, balance=balance, code=code))
    for slot, value in item.storage.items():
        evm.insert_account_storage(_hex(CONTRACTS[0]), slot, value)
    output = b""
    try:
        output = bytes(
            evm.message_call(_hex(SENDER), _hex(CONTRACTS[0]), calldata=item.data, value=item.value, gas=item.gas)
        )
    except RuntimeError as error:
        found = _OUTPUT.search(str(error))
        output = bytes.fromhex(found[1]) if found else b""
    result = evm.result
    outcome = "success" if result.is_success else "halt" if result.is_halt else "revert"
    return Effects(
        outcome,
        max(result.gas_used, floor_gas(item.data, Fork[spec])),  # it leaves EIP-7623's floor to its caller
        output,
        tuple(_log(log) for log in result.logs) if outcome == "success" else (),
        tuple(_account(evm, address) for address in OBSERVED),
    )


def difference(item: Scenario, backend: PyEvmBackend, spec: str) -> str | None:
    """Return what differs, or None."""
    mine, other = ours(item, backend), theirs(item, spec)
    if mine == other:
        return None
    fields = [name for name in Effects.__slots__ if getattr(mine, name) != getattr(other, name)]
    return f"seed {item.seed}: {fields}\n  ours   {mine}\n  theirs {other}\n  codes {[c.hex() for c in item.codes]}"


def backend_for(spec: str) -> PyEvmBackend:
    """Return our backend under the spec's rules."""
    return PyEvmBackend(ethereum_rules(Fork[spec], 1))


def _account(evm: Any, address: bytes) -> tuple[Any, ...]:
    info = evm.basic(_hex(address))
    return (
        address, info.balance, info.nonce, bytes(evm.get_code(_hex(address)) or b""),
        tuple(evm.storage(_hex(address), slot) for slot in SLOTS),
    )  # fmt: skip


def _block_hash(height: int) -> Hash32 | None:
    return Hash32(keccak256(str(height).encode())) if 0 <= height < 10 else None


def _log(log: Any) -> tuple[Any, ...]:
    topics, data = log.data
    return (bytes.fromhex(log.address[2:]), tuple(topics), bytes(data))


def _hex(address: bytes) -> str:
    return "0x" + address.hex()
