"""The methods whose answers follow from Ethereum's rules where CyberMiles has its own: fees, ommers, raw blocks."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from cybermiles.conformance.config import ethereum_config
from cybermiles.conformance.gas_market import next_base_fee, next_excess_blob_gas, price_of_blobs
from cybermiles.conformance.serializer import ethereum_header_fields
from cybermiles.conformance.simulation import SimulateForeignBlocks, SimulationParser
from cybermiles.rpc.block_references import Tag, find_height, parse_block_number, parse_block_reference, state_height
from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.namespaces.eth_chain import HASH, INDEX, NUMBER
from cybermiles.rpc.namespaces.eth_transactions import EthTransactions
from cybermiles.rpc.quantities import encode_data, parse_count
from cybermiles.types import rlp
from cybermiles.vm.validity import GAS_PER_BLOB

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cybermiles.conformance.blocks import ForeignBlock
    from cybermiles.conformance.chain import ForeignChain
    from cybermiles.conformance.header import EthereumHeader
    from cybermiles.conformance.serializer import EthereumSerializer
    from cybermiles.conformance.simulation import SimulationRequest
    from cybermiles.rpc.block_references import BlockNumber, BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.namespaces.eth_calls import EthCalls
    from cybermiles.rpc.ports import Executor, TransactionPool
    from cybermiles.rpc.schemas import CallObject

_LIST_PREFIX = 0xC0
SAMPLED_BLOCKS = 20
SAMPLES_PER_BLOCK = 3
SAMPLE_PERCENTILE = 60
LEAST_SAMPLE = 2
"""Wei; tips below are not counted. These four are geth's defaults."""
DEFAULT_TIP = 1_000_000
"""Wei; geth's advice where no block says otherwise."""
MAX_TIP = 500 * 10**9
FEE_HISTORY_MAX_BLOCKS = 1_024
FEE_HISTORY_MAX_PERCENTILES = 100


class EthereumTransactions(EthTransactions):
    """`eth_fillTransaction` with Ethereum's fees: the tip advised, and room for the base fee to double."""

    def __init__(self, chain: ForeignChain, pool: TransactionPool, calls: EthCalls, tip: Callable[[], int]) -> None:
        super().__init__(chain, pool, calls)
        self._head = chain.head
        self._tip = tip

    def methods(self) -> tuple[Method, ...]:
        """Return the one method that differs."""
        return tuple(method for method in super().methods() if method.name == "eth_fillTransaction")

    def _fees(self, call: CallObject, gas: int) -> tuple[int, int]:  # noqa: ARG002  (gas decides no lane here)
        if call.gas_price is not None:
            return call.gas_price, call.gas_price
        cap, tip = call.max_fee_per_gas, call.max_priority_fee_per_gas
        if tip is None:
            tip = self._tip() if cap is None else min(self._tip(), cap)
        return tip + 2 * self._head.base_fee if cap is None else cap, tip


class EthereumMethods:
    """Answers about one foreign chain."""

    def __init__(
        self, chain: ForeignChain, executor: Executor, serializer: EthereumSerializer, limits: RpcLimits
    ) -> None:
        self._chain = chain
        self._executor = executor
        self._serializer = serializer
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods, each of which replaces CyberMiles' own."""
        latest: Param[BlockReference] = Param(parse_block_reference, default=Tag.LATEST)
        percentiles: Param[tuple[float, ...]] = Param(_parse_percentiles, default=())
        return (
            Method(name="eth_gasPrice", handler=self.gas_price),
            Method(name="eth_maxPriorityFeePerGas", handler=self.max_priority_fee_per_gas),
            Method(name="eth_baseFee", handler=self.base_fee),
            Method(name="eth_blobBaseFee", handler=self.blob_base_fee),
            Method(
                name="eth_feeHistory",
                handler=self.fee_history,
                params=(Param(parse_count), Param(parse_block_number), percentiles),
                weight=5,
            ),
            Method(name="eth_getUncleCountByBlockNumber", handler=self.uncle_count, params=(NUMBER,)),
            Method(name="eth_getUncleCountByBlockHash", handler=self.uncle_count, params=(HASH,)),
            Method(name="eth_getUncleByBlockNumberAndIndex", handler=self.uncle, params=(NUMBER, INDEX)),
            Method(name="eth_getUncleByBlockHashAndIndex", handler=self.uncle, params=(HASH, INDEX)),
            Method(name="eth_config", handler=self.config),
            Method(
                name="eth_simulateV1",
                handler=self.simulate,
                params=(Param(SimulationParser(self._limits).parse), latest),
                weight=50,
            ),
            Method(name="debug_getRawBlock", handler=self.raw_block, params=(Param(parse_block_reference),), weight=5),
        )

    # Fees

    def gas_price(self) -> str:
        """Return the tip advised on top of the head's base fee. Wei per gas."""
        return hex(self.tip() + self._chain.head.base_fee)

    def max_priority_fee_per_gas(self) -> str:
        """Return the tip advised. Wei per gas."""
        return hex(self.tip())

    def base_fee(self) -> str:
        """Return the next block's base fee. Wei per gas."""
        return hex(self._following(self._chain.head_height())[0])

    def blob_base_fee(self) -> str:
        """Return the head's blob price. Wei per blob gas."""
        return hex(self._blob_price(self._chain.head))

    def fee_history(self, count: int, newest: BlockNumber, percentiles: Sequence[float]) -> Json:
        """Return base fees, how full blocks were, and tips by share of gas (percentiles)."""
        last = find_height(self._chain, newest)
        if last is None:
            head = self._chain.head_height()
            raise RpcError(SERVER_ERROR, f"request beyond head block: requested {newest}, head {head}")
        count = min(count, last + 1, FEE_HISTORY_MAX_BLOCKS)
        if count == 0:
            return {"oldestBlock": "0x0", "gasUsedRatio": None}
        blocks = [self._chain.foreign(height) for height in range(last - count + 1, last + 1)]
        headers = [block.header for block in blocks]
        base_fee, blob_price = self._following(last)
        answer: dict[str, Json] = {
            "oldestBlock": hex(headers[0].height),
            "baseFeePerGas": [*(hex(header.base_fee) for header in headers), hex(base_fee)],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
            "baseFeePerBlobGas": [*(hex(self._blob_price(header)) for header in headers), hex(blob_price)],
            "blobGasUsedRatio": [self._blob_ratio(header) for header in headers],
        }
        if percentiles:
            answer["reward"] = [[hex(tip) for tip in self._rewards(block, percentiles)] for block in blocks]
        return answer

    def _following(self, height: int) -> tuple[int, int]:
        """Return (base fee, blob price) of the block after a height, as its parent's header and rules have it."""
        schedule, header = self._chain.schedule, self._chain.foreign(height).header
        fork = schedule.at(height, header.timestamp)
        base_fee = next_base_fee(header, fork) or 0
        if header.excess_blob_gas is None:
            return base_fee, 0
        excess = next_excess_blob_gas(header, schedule, header.timestamp, fork)
        return base_fee, price_of_blobs(excess, schedule.blobs_at(header.timestamp))

    def _blob_price(self, header: EthereumHeader) -> int:
        if header.excess_blob_gas is None:
            return 0
        return price_of_blobs(header.excess_blob_gas, self._chain.schedule.blobs_at(header.timestamp))

    def _blob_ratio(self, header: EthereumHeader) -> float:
        maximum = self._chain.schedule.blobs_at(header.timestamp).maximum
        return (header.blob_gas_used or 0) / (maximum * GAS_PER_BLOB) if maximum else 0.0

    def _rewards(self, block: ForeignBlock, percentiles: Sequence[float]) -> list[int]:
        """Return the tips below which the given shares of a block's gas lie."""
        outcomes = self._chain.outcomes(block.header.height)
        if not outcomes:
            return [0] * len(percentiles)
        tips = sorted((outcome.effective_gas_price - block.header.base_fee, outcome.gas_used) for outcome in outcomes)
        sums = list(accumulate(gas for _, gas in tips))
        rewards = []
        position = 0
        for percentile in percentiles:
            threshold = int(block.header.gas_used * percentile / 100)
            while sums[position] < threshold and position < len(tips) - 1:
                position += 1
            rewards.append(tips[position][0])
        return rewards

    def tip(self) -> int:
        """Return what geth's oracle advises: a percentile of the lowest tips of the newest blocks."""
        samples: list[int] = []
        height = self._chain.head_height()
        left = min(SAMPLED_BLOCKS, height)
        while left:
            found = self._samples(height) or [DEFAULT_TIP]
            height -= 1
            left -= 1
            if len(found) == 1 and len(samples) + 1 + left < SAMPLED_BLOCKS * 2 and height > left:
                left += 1  # a block that says little is made up for by another
            samples += found
        if not samples:
            return DEFAULT_TIP
        return min(sorted(samples)[(len(samples) - 1) * SAMPLE_PERCENTILE // 100], MAX_TIP)

    def _samples(self, height: int) -> list[int]:
        block = self._chain.foreign(height)
        tips = sorted(
            (tx.effective_gas_price(block.header.base_fee) - block.header.base_fee, tx.sender)
            for tx in block.transactions
        )
        counted = [tip for tip, sender in tips if tip >= LEAST_SAMPLE and sender != block.header.coinbase]
        return counted[:SAMPLES_PER_BLOCK]

    # Imagined blocks

    async def simulate(self, request: SimulationRequest, reference: BlockReference) -> Json:
        """Return the blocks with what each call did, executed one after another on the state after a block."""
        job = SimulateForeignBlocks(
            request=request,
            height=state_height(self._chain, reference),
            serializer=self._serializer,
            gas=self._limits.call_gas_max,
        )
        return await self._executor.run(job)

    def config(self) -> Json:
        """Return the rules in force at the head, the next ones and the last (EIP-7910)."""
        return ethereum_config(self._chain.schedule, self._chain)

    # Ommers and raw blocks

    def uncle_count(self, reference: BlockReference) -> str | None:
        """Return how many ommers a block has, null where there is none."""
        height = find_height(self._chain, reference)
        return None if height is None else hex(len(self._chain.foreign(height).ommers))

    def uncle(self, reference: BlockReference, index: int) -> Json:
        """Return an ommer's header, null where there is none."""
        height = None if reference is Tag.PENDING else find_height(self._chain, reference)
        ommers = () if height is None else self._chain.foreign(height).ommers
        if index >= len(ommers):
            return None
        header = ommers[index].encode()
        size = len(rlp.encode_list((header, bytes((_LIST_PREFIX,)), bytes((_LIST_PREFIX,)))))
        return {**ethereum_header_fields(ommers[index]), "size": hex(size), "uncles": []}

    def raw_block(self, reference: BlockReference) -> str:
        """Return the block as Ethereum encodes it."""
        return encode_data(self._chain.foreign(state_height(self._chain, reference)).encode())


def _parse_percentiles(value: Json) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError("an array of percentiles is expected")  # noqa: TRY004
    if len(value) > FEE_HISTORY_MAX_PERCENTILES:
        raise RpcError(SERVER_ERROR, f"over the query limit {FEE_HISTORY_MAX_PERCENTILES}")
    least: float = 0
    percentiles: list[float] = []
    for position, percentile in enumerate(value):
        if isinstance(percentile, bool) or not isinstance(percentile, (int, float)):
            raise ValueError("a percentile is a number")  # noqa: TRY004
        if not 0 <= percentile <= 100:
            raise RpcError(SERVER_ERROR, f"invalid reward percentile: {percentile}")
        if percentile < least or (position and percentile == least):
            raise RpcError(
                SERVER_ERROR, f"invalid reward percentile: #{position - 1}:{least} >= #{position}:{percentile}"
            )
        least = percentile
        percentiles.append(percentile)
    return tuple(percentiles)
