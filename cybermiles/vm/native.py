"""The seam between the EVM and contracts written in Python.

Where a call reaches an account whose code is the system stub and whose address is in the backend's table of native
contracts, the frame runs the contract in the table instead of the stub. All rules of a frame hold for it: value has
moved before it runs and moves back when it fails, a revert undoes its storage, logs and transfers and keeps the gas
that is left, running out of gas burns what the frame was given.

A native contract answers for its own account only. DELEGATECALL, CALLCODE and EIP-7702 delegation run the account's
code on another account's storage, and that code is the stub, which reverts.

Gas of a native contract is what it consumes and nothing else: its storage is neither cold nor warm, touching it warms
nothing, there are no refunds (EIP-2200, 2929 and 3529 price SLOAD and SSTORE, which it does not run), and
`eth_createAccessList` does not list its slots. The account itself is cold until a transaction touches it, like any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.state.world import WorldState
    from cybermiles.types.primitives import Address, ChainId, Hash32
    from cybermiles.vm.backend import BlockContext


class NativeRevert(Exception):
    """The call reverts with `data`: everything it did is undone and the gas that is left goes back."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.data = data


class NativeCall(Protocol):
    """What a native contract sees of its frame."""

    @property
    def address(self) -> Address:
        """The contract's own account."""
        ...

    @property
    def sender(self) -> Address:
        """The caller: msg.sender."""
        ...

    @property
    def value(self) -> int:
        """Wei that came with the call, already in the contract's balance."""
        ...

    @property
    def data(self) -> bytes:
        """Calldata."""
        ...

    @property
    def is_static(self) -> bool:
        """Whether the frame may not change anything."""
        ...

    @property
    def depth(self) -> int:
        """0 where a transaction called, 1024 at most."""
        ...

    @property
    def context(self) -> BlockContext:
        """The block."""
        ...

    @property
    def chain_id(self) -> ChainId:
        """EIP-155 chain id."""
        ...

    @property
    def world(self) -> WorldState:
        """State; its journal undoes what a failing frame wrote."""
        ...

    def consume(self, *, gas: int, compute_units: int) -> None:
        """Charge the frame. Fails the frame, past any handler, where either meter does not cover it."""
        ...

    def emit(self, address: Address, topics: Sequence[Hash32], data: bytes) -> None:
        """Log an event of a native contract. Fails a static frame."""
        ...

    def transfer(self, source: Address, to: Address, amount: int) -> None:
        """Move wei out of a native contract's balance; no code of the receiver runs.

        Fails a static frame. Raises InvariantViolation when the balance does not cover it: contracts keep books and
        pay only what these say.
        """
        ...


class NativeContract(Protocol):
    """A contract in Python. Holds no state: that is in the world."""

    def call(self, call: NativeCall) -> bytes:
        """Run one call and return its output.

        Raises NativeRevert to revert. Any other exception of its own is a bug of the node and stops it, so whatever
        the calldata says must end in an output or in NativeRevert.
        """
        ...
