"""What the process must satisfy before it executes a block; a wrong runtime would fork the chain.

Importing `eth` sets the recursion limit to 100 000, at which hostile JSON crashes the process; it is put back to a
value that 1024 nested call frames need. CPython 3.12 cannot reach that depth, so it is refused. The probe runs the
1024 frames for real, and must be called in a thread with the stack that block execution has.
"""

from __future__ import annotations

import sys

import eth  # noqa: F401  (imported first: it changes the recursion limit)

from cybermiles.crypto import hashing, secp256k1
from cybermiles.errors import ConfigError
from cybermiles.state.reader import NoState
from cybermiles.state.world import WorldState
from cybermiles.types.primitives import ZERO_ADDRESS, ZERO_HASH, Address
from cybermiles.vm.backend import BlockContext, CallMessage
from cybermiles.vm.pyevm.backend import PyEvmBackend
from cybermiles.vm.rules import Fork, ethereum_rules

SUPPORTED_PYTHONS = ((3, 11), (3, 13))
RECURSION_LIMIT = 12_288
EXECUTION_STACK_BYTES = 256 * 1024 * 1024
"""C stack of the thread that executes blocks; virtual, touched only as deep as calls go."""
CALL_FRAMES = 1025
"""Depth 0 to 1024."""

_COUNTING_RECURSION = bytes.fromhex("5f546001015f555f5f5f5f5f305af100")
"""slot 0 += 1; call(self, all gas); stop."""
_MODEXP_OF_NOTHING = bytes(64) + (1).to_bytes(32) + b"\x02"


def prepare_runtime() -> None:
    """Set the recursion limit and check Python and the native backends. Raises ConfigError."""
    sys.setrecursionlimit(RECURSION_LIMIT)
    if sys.version_info[:2] not in SUPPORTED_PYTHONS:
        raise ConfigError(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} cannot run this chain: it must reach EVM "
            "call depth 1024. Use Python 3.11 or 3.13."
        )
    hashing.assert_backend()
    secp256k1.assert_backend()


def probe_execution() -> None:
    """Run 1024 nested calls and the precompile stock py-evm gets wrong. Raises ConfigError."""
    frames = _frames_reached()
    if frames != CALL_FRAMES:
        raise ConfigError(
            f"the EVM reached {frames} call frames, not {CALL_FRAMES}: the thread's stack or the recursion "
            "limit is too small. Do not raise or lower them; report this with `cmt version`."
        )
    answer = _call(WorldState(NoState()), Address((5).to_bytes(20)), _MODEXP_OF_NOTHING)
    if answer != b"\x01":
        raise ConfigError("MODEXP of 0^0 is wrong; reinstall from the lock file")


def _frames_reached() -> int:
    world = WorldState(NoState())
    address = Address(b"\xff" * 20)
    world.begin_transaction()
    world.set_code(address, _COUNTING_RECURSION)
    world.end_transaction()
    _call(world, address, b"")
    return world.storage(address, 0)


def _call(world: WorldState, to: Address, data: bytes) -> bytes:
    context = BlockContext(
        height=1,
        timestamp=1,
        coinbase=ZERO_ADDRESS,
        gas_limit=2**60,
        prev_randao=ZERO_HASH,
        base_fee=0,
        fee_recipient=ZERO_ADDRESS,
        block_hash=lambda _height: None,
    )
    backend = PyEvmBackend(ethereum_rules(Fork.OSAKA, 1))  # type: ignore[arg-type]
    message = CallMessage(sender=ZERO_ADDRESS, to=to, gas=2**60, data=data)
    return backend.call(world, context, message, compute_units=None).output
