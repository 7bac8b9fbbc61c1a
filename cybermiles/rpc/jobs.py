"""Heavy reads as values: what to compute, without where.

A job is a small frozen dataclass that crosses a process boundary whole; `run` gets the chain from the process it lands
in and returns a value that crosses back. So whatever executes code or walks many blocks stays off the event loop, and
adding such a read adds a class and no method anywhere else.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

from cybermiles.rpc.ports import ChainReader

if TYPE_CHECKING:
    from cybermiles.execution.parent import Chain, Parent
    from cybermiles.execution.replay import Replay

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""The address that the request being answered comes from: an executor that is asked for too much shares by it."""

T_co = TypeVar("T_co", covariant=True)


class JobSource(ChainReader, Protocol):
    """Committed blocks and states, and what is needed to execute on them."""

    @property
    def constants(self) -> Chain:
        """The chain's constants with an EVM that this process may use."""
        ...

    def parent(self, height: int) -> Parent:
        """Return a committed block as the parent its successor was executed on. Raises StateUnavailable when pruned."""
        ...

    def replay(self, height: int) -> Replay:
        """Return a committed block, not block 0, to execute it again. Raises StateUnavailable when pruned."""
        ...


class Job(Protocol[T_co]):
    """One heavy read. Its fields and its result can be pickled."""

    def run(self, source: JobSource) -> T_co:
        """Do the work. Raises CybermilesError subclasses for what the caller did wrong."""
        ...
