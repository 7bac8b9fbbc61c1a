"""Events by name. Inside a transaction `Call.emit` puts them into the frame; what happens in no transaction
(elections, awards, payouts, executions at the end of a block) is collected here for the block's system logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.errors import InvariantViolation
from cybermiles.system.codec import EncodingError
from cybermiles.types.receipt import Log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.system.abi import ContractAbi
    from cybermiles.types.primitives import Address


def event_log(address: Address, abi: ContractAbi, name: str, arguments: Sequence[object]) -> Log:
    """Return an event as a log of `address`.

    Raises InvariantViolation for an event that the ABI lacks or whose arguments are not of its types: a bug.
    """
    event = abi.events.get(name)
    if event is None:
        raise InvariantViolation(f"{abi.name} declares no event {name}")
    try:
        topics, data = event.encode(arguments)
    except EncodingError as wrong:
        raise InvariantViolation(f"{event.signature} with {arguments}: {wrong}") from wrong
    return Log(address, topics, data)


class EventCollector:
    """Events of one contract outside any transaction, in order. Same `emit` as `Call`."""

    def __init__(self, address: Address, abi: ContractAbi, logs: list[Log]) -> None:
        self._address = address
        self._abi = abi
        self._logs = logs

    def emit(self, name: str, *arguments: object) -> None:
        """Append an event to `logs`, which several contracts may share."""
        self._logs.append(event_log(self._address, self._abi, name, arguments))
