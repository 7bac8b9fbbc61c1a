"""What the application needs from below and beside it, as narrow protocols."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from cybermiles.execution.outcome import BlockOutcome
    from cybermiles.types.block import Block

P = ParamSpec("P")
T = TypeVar("T")


class Worker(Protocol):
    """The one thread that executes blocks."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function in the worker and return its result, or raise its exception."""
        ...


class CommitListener(Protocol):
    """Told of every block after it is durable, on the event loop, in height order."""

    def block_committed(self, block: Block, outcome: BlockOutcome) -> None:
        """React; must be quick and must not raise."""
        ...
