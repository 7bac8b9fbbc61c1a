"""What every frame of one transaction shares, in py-evm's interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eth.vm.forks.cancun.transaction_context import CancunTransactionContext

if TYPE_CHECKING:
    from cybermiles.types.primitives import Address, Hash32


class TransactionContext(CancunTransactionContext):  # type: ignore[misc]  # py-evm is untyped
    """Origin, gas price and blob hashes."""

    def __init__(self, gas_price: int, origin: Address, blob_versioned_hashes: tuple[Hash32, ...]) -> None:
        self._gas_price = gas_price
        self._origin = origin
        self._blob_versioned_hashes = blob_versioned_hashes
