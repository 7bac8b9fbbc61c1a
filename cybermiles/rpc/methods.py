"""What a method is: a name, a parser for each argument, a handler; and who may be calling it.

Namespaces build tables of `Method`s, the dispatcher reads them. Arguments are positional, as everywhere
in Ethereum; a missing one and null are the same.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from cybermiles.rpc.jsonrpc import INVALID_PARAMS, RpcError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from cybermiles.errors import CybermilesError
    from cybermiles.rpc.jsonrpc import Json

T = TypeVar("T")


class Profile(StrEnum):
    """Which fee advice a caller gets; the URL path decides."""

    WALLET = "/"
    """Gas price 0: wallets sign transactions that cost nothing."""
    PAID = "/paid"
    """The paid lane's price: for deployments through wallets."""


class Connection(Protocol):
    """A two-way connection that events can be pushed to."""

    def push(self, payload: bytes) -> None:
        """Queue a message; a peer that reads too slowly is disconnected instead."""
        ...


class Budget(Protocol):
    """What one caller may still ask for."""

    @property
    def refusal(self) -> str:
        """Which limit the last refused request was over."""
        ...

    def spend(self, weight: int, method: str = "") -> bool:
        """Take `weight` from the budget; False where it is not there."""
        ...

    def is_hog(self) -> bool:
        """Whether refusals do not stop the caller."""
        ...


@dataclass(slots=True)
class Context:
    """Who asks, and how to reach them. One for each message."""

    profile: Profile = Profile.WALLET
    remote: str = ""
    """IP address of the caller."""
    connection: Connection | None = None
    """None over plain HTTP."""
    budget: Budget | None = None
    """None for callers without a rate limit."""
    after_answer: list[Callable[[], None]] = field(default_factory=list)
    """Run once the answer is on its way: a subscription's first event must not overtake its id."""


class _Missing(Enum):
    REQUIRED = 0


REQUIRED: Final = _Missing.REQUIRED


@dataclass(frozen=True, slots=True)
class Param(Generic[T]):
    """One positional argument. `parse` raises ValueError with what is wrong, or RpcError."""

    parse: Callable[[Json], T]
    default: T | _Missing = REQUIRED
    """Stands for a missing or null argument."""
    schema: dict[str, Any] | None = None
    """JSON schema, where neither the parser nor the argument's name says it (`rpc.openrpc.schemas`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One served method. `handler` takes the parsed arguments in the order of `params`."""

    name: str
    handler: Callable[..., Json | Awaitable[Json]]
    params: tuple[Param[Any], ...] = ()
    weight: int = 1
    """How much of a caller's rate limit one request takes."""
    with_context: bool = False
    """Whether the handler takes the `Context` before its arguments."""
    served_with: str = ""
    """The namespace that turns it on, where that is not what its name begins with."""
    batch_handler: Callable[[Sequence[Any]], Awaitable[Sequence[Json | CybermilesError]]] | None = None
    """For methods of one argument that are cheaper together: neighbours in a batch go to it at once."""
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_async", inspect.iscoroutinefunction(self.handler))

    @property
    def namespace(self) -> str:
        """Return the namespace that turns it on."""
        return self.served_with or self.name.partition("_")[0]

    def arguments(self, values: list[Json]) -> list[Any]:
        """Return the parsed arguments. Raises RpcError that names the position."""
        if len(values) > len(self.params):
            raise RpcError(INVALID_PARAMS, f"too many arguments, want at most {len(self.params)}")
        given = len(values)
        return [
            _argument(position, param, values[position] if position < given else None)
            for position, param in enumerate(self.params)
        ]


def _argument(position: int, param: Param[T], value: Json) -> T:
    if value is None:
        if isinstance(param.default, _Missing):
            raise RpcError(INVALID_PARAMS, f"missing value for required argument {position}")
        return param.default
    try:
        return param.parse(value)
    except ValueError as error:
        raise RpcError(INVALID_PARAMS, f"invalid argument {position}: {error}") from None
