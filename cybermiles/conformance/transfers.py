"""Movements of coins among the logs of an execution, as `traceTransfers` asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.execution.imagined import TRANSFER_SOURCE, TRANSFER_TOPIC
from cybermiles.types.primitives import Hash32
from cybermiles.types.receipt import Log
from cybermiles.vm.tracing import CallKind, Tracer

if TYPE_CHECKING:
    from cybermiles.vm.tracing import CallEnd, CallStart


class TransferTracer(Tracer):
    """Collects logs, and a log for each value that moves; what a failed frame did is gone with it."""

    def __init__(self) -> None:
        self._frames: list[list[Log]] = [[]]

    @property
    def logs(self) -> tuple[Log, ...]:
        """What stays, in order."""
        return tuple(self._frames[0])

    def enter(self, call: CallStart) -> None:
        frame: list[Log] = []
        if call.value and call.kind is not CallKind.DELEGATECALL:
            topics = (TRANSFER_TOPIC, Hash32(bytes(12) + call.sender), Hash32(bytes(12) + call.to))
            frame.append(Log(TRANSFER_SOURCE, topics, call.value.to_bytes(32)))
        self._frames.append(frame)

    def exit(self, end: CallEnd) -> None:
        frame = self._frames.pop()
        if end.error is None:
            self._frames[-1] += frame

    def log(self, log: Log) -> None:
        self._frames[-1].append(log)
