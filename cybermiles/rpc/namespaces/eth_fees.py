"""`eth_*`: fee advice, so that unchanged tools do the right thing on a chain with a free lane.

Wallets sign what `eth_gasPrice` says: 0, so that users pay nothing; under the URL path /paid the paid
lane's price. Developer tools sign base fee plus tip: the tip advised is the paid lane's price, in every block,
full or empty. Base fee is 0 for ever. Source: design §5; docs/rpc.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.block_references import find_height, parse_block_number
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param, Profile
from cybermiles.rpc.pacing import give_way
from cybermiles.rpc.quantities import parse_count

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockNumber
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.methods import Context
    from cybermiles.rpc.ports import ChainReader

BLOB_BASE_FEE = 1
"""Wei: EIP-4844's minimum, which a chain without blobs never leaves."""
_HEADERS_PER_STEP = 64


class EthFees:
    """The part of the eth namespace that says what to pay."""

    def __init__(self, chain: ChainReader, limits: RpcLimits) -> None:
        self._chain = chain
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="eth_gasPrice", handler=self.gas_price, with_context=True),
            Method(name="eth_maxPriorityFeePerGas", handler=self.max_priority_fee_per_gas),
            Method(name="eth_baseFee", handler=self.base_fee),
            Method(name="eth_blobBaseFee", handler=self.blob_base_fee),
            Method(
                name="eth_feeHistory",
                handler=self.fee_history,
                params=(
                    Param(parse_count),
                    Param(parse_block_number),
                    Param(self._parse_percentiles, default=None),
                ),
                weight=5,
            ),
        )

    def gas_price(self, context: Context) -> str:
        """Return 0, or the paid lane's price under /paid. Wei per gas."""
        return hex(self.paid_price() if context.profile is Profile.PAID else 0)

    def max_priority_fee_per_gas(self) -> str:
        """Return the paid lane's price. Wei per gas."""
        return hex(self.paid_price())

    def base_fee(self) -> str:
        """Return 0."""
        return "0x0"

    def blob_base_fee(self) -> str:
        """Return the least blob price there is: blobs are not accepted."""
        return hex(BLOB_BASE_FEE)

    async def fee_history(self, count: int, newest: BlockNumber, percentiles: int | None) -> Json:
        """Return the same advice for each block, with how full it was."""
        last = find_height(self._chain, newest)
        if last is None:
            head = self._chain.head_height()
            raise RpcError(SERVER_ERROR, f"request beyond head block: requested {newest}, head {head}")
        count = min(count, last + 1, self._limits.fee_history_max_blocks)
        if count == 0:
            return {"oldestBlock": "0x0", "baseFeePerGas": [], "gasUsedRatio": []}
        ratios: list[Json] = []
        for height in range(last, last - count, -1):
            header = self._chain.header(height)
            if header is None:
                break
            ratios.insert(0, header.gas_used / header.gas_limit)
            if len(ratios) % _HEADERS_PER_STEP == 0:
                await give_way()
        count = len(ratios)
        answer: dict[str, Json] = {
            "oldestBlock": hex(last - count + 1),
            "baseFeePerGas": ["0x0"] * (count + 1),
            "gasUsedRatio": ratios,
            "baseFeePerBlobGas": [hex(BLOB_BASE_FEE)] * (count + 1),
            "blobGasUsedRatio": [0.0] * count,
        }
        if percentiles:
            rewards: list[Json] = [hex(self.paid_price())] * percentiles
            answer["reward"] = [rewards] * count
        return answer

    def paid_price(self) -> int:
        """Return the least price of the paid lane. Wei per gas."""
        return self._chain.params.min_gas_price

    def _parse_percentiles(self, value: Json) -> int:
        """Return how many percentiles are asked for. The only numbers with fractions in the API."""
        if not isinstance(value, list):
            raise ValueError("an array of percentiles is expected")  # noqa: TRY004
        limit = self._limits.fee_history_max_percentiles
        if len(value) > limit:
            raise ValueError(f"{len(value)} percentiles, at most {limit} are allowed (rpc.fee_history_max_percentiles)")
        least: float = 0
        for percentile in value:
            if isinstance(percentile, bool) or not isinstance(percentile, (int, float)):
                raise ValueError("a percentile is a number")  # noqa: TRY004
            if not least <= percentile <= 100:
                raise ValueError(f"invalid reward percentile: {percentile}")
            least = percentile
        return len(value)
