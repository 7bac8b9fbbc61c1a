"""The logs of an execution in their order, and the movements of coins between them, as `traceTransfers` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.types.primitives import Address, Hash32
from cybermiles.types.receipt import Log
from cybermiles.vm.tracing import CallKind, Tracer

if TYPE_CHECKING:
    from cybermiles.vm.tracing import CallEnd, CallStart

TRANSFER_SOURCE = Address(b"\xee" * 20)
"""The address under which movements of coins are reported as if they were logs."""
TRANSFER_TOPIC = Hash32(bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"))
"""Transfer(address,address,uint256)."""


class LogRecorder(Tracer):
    """Collects logs, and where asked a log for each value that moves; what a failed frame did is gone with it."""

    def __init__(self, *, with_transfers: bool) -> None:
        self._with_transfers = with_transfers
        self._frames: list[list[Log]] = [[]]

    @property
    def logs(self) -> tuple[Log, ...]:
        """What stays, in order."""
        return tuple(self._frames[0])

    def enter(self, call: CallStart) -> None:
        frame: list[Log] = []
        if self._with_transfers and call.value and call.kind is not CallKind.DELEGATECALL:
            topics = (TRANSFER_TOPIC, Hash32(bytes(12) + call.sender), Hash32(bytes(12) + call.to))
            frame.append(Log(TRANSFER_SOURCE, topics, call.value.to_bytes(32)))
        self._frames.append(frame)

    def exit(self, end: CallEnd) -> None:
        frame = self._frames.pop()
        if end.error is None:
            self._frames[-1] += frame

    def log(self, log: Log) -> None:
        self._frames[-1].append(log)
