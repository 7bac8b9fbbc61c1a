"""What a frame is called with: py-evm's message without the checks of what is known to be right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address


class Message:
    """One call or creation."""

    __slots__ = (
        "code",
        "code_address",
        "data",
        "data_as_bytes",
        "depth",
        "gas",
        "is_create",
        "is_delegation",
        "is_static",
        "refund",
        "sender",
        "should_transfer_value",
        "storage_address",
        "to",
        "value",
    )

    def __init__(
        self,
        *,
        gas: int,
        to: Address | bytes,
        sender: Address,
        value: int,
        data: bytes,
        code: bytes,
        depth: int = 0,
        create_address: Address | None = None,
        code_address: Address | None = None,
        should_transfer_value: bool = True,
        is_static: bool = False,
        is_delegation: bool = False,
        refund: int = 0,
    ) -> None:
        """`to` is b"" in a creation, which makes `create_address` by running `code`."""
        self.gas = gas
        self.to = to
        self.sender = sender
        self.value = value
        self.data = self.data_as_bytes = data
        self.code = code
        self.depth = depth
        self.storage_address = to if create_address is None else create_address
        self.code_address = to if code_address is None else code_address
        self.should_transfer_value = should_transfer_value
        self.is_static = is_static
        self.is_delegation = is_delegation
        self.is_create = to == b""
        self.refund = refund
