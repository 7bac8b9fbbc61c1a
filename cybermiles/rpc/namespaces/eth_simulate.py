"""`eth_simulateV1`: what blocks of unsigned transactions would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.block_references import Tag, parse_block_reference, state_height
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.simulation.job import SimulateBlocks
from cybermiles.rpc.simulation.request import simulation_parser

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.config import RpcLimits
    from cybermiles.rpc.jsonrpc import RawJson
    from cybermiles.rpc.ports import ChainReader, Executor
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.rpc.simulation.request import SimulationRequest


class EthSimulate:
    """The part of the eth namespace that imagines blocks."""

    def __init__(self, chain: ChainReader, executor: Executor, serializer: Serializer, limits: RpcLimits) -> None:
        self._chain = chain
        self._executor = executor
        self._serializer = serializer
        self._limits = limits

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        request = Param(simulation_parser(self._limits, self._chain.chain_id))
        block: Param[BlockReference] = Param(parse_block_reference, default=Tag.LATEST)
        return (Method(name="eth_simulateV1", handler=self.simulate, params=(request, block), weight=50),)

    async def simulate(self, request: SimulationRequest, reference: BlockReference) -> RawJson:
        """Return the blocks with what each call did, executed one after another on the state after a block."""
        limits = self._limits
        job = SimulateBlocks(
            request=request,
            height=state_height(self._chain, reference),
            serializer=self._serializer,
            max_blocks=limits.simulate_max_blocks,
            max_bytes=limits.response_max_bytes,
            gas=limits.simulate_gas_max,
            gas_per_call=limits.call_gas_max,
        )
        return await self._executor.run(job)
