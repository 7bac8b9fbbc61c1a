"""`cmt_*`: what only this chain has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.rpc.block_references import Tag, parse_block_reference, state_height
from cybermiles.rpc.methods import Method, Param
from cybermiles.rpc.ports import TransactionState
from cybermiles.rpc.quantities import encode_data, parse_hash

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader, TransactionPool
    from cybermiles.types.primitives import Hash32

_UNKNOWN = "unknown"


class Cmt:
    """The cmt namespace's reads of blocks, pool and parameters."""

    def __init__(self, chain: ChainReader, pool: TransactionPool) -> None:
        self._chain = chain
        self._pool = pool

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(
                name="cmt_transactionStatus",
                handler=self.transaction_status,
                params=(Param(parse_hash),),
            ),
            Method(name="cmt_params", handler=self.params),
            Method(
                name="cmt_supply",
                handler=self.supply,
                params=(Param(parse_block_reference, default=Tag.LATEST),),
            ),
        )

    def transaction_status(self, tx_hash: Hash32) -> Json:
        """Say where a transaction is, and what became of it or why it waits."""
        place = self._chain.locate_transaction(tx_hash)
        if place is not None:
            return self._included(*place)
        status = self._pool.status(tx_hash)
        if status is None:
            return {"status": _UNKNOWN}
        answer: dict[str, Json] = {"status": status.state.value}
        if status.reason is not None:
            answer["reason"] = status.reason
        return answer

    def params(self) -> Json:
        """Return the chain's parameters as they stand in documents: exact decimal strings."""
        answer: dict[str, Json] = {}
        answer.update(self._chain.params.to_strings())
        return answer

    def supply(self, reference: BlockReference) -> Json:
        """Return where all coins came from and went, up to a block. Wei."""
        height = state_height(self._chain, reference)
        supply = self._chain.supply(height)
        return {
            "blockNumber": hex(height),
            "genesis": hex(supply.genesis),
            "minted": hex(supply.minted),
            "burnt": hex(supply.burnt),
            "total": hex(supply.genesis + supply.minted - supply.burnt),
        }

    def _included(self, height: int, index: int) -> Json:
        placed, header = self._chain.outcome(height, index), self._chain.header(height)
        if placed is None:
            return {"status": _UNKNOWN}
        outcome = placed.outcome
        return {
            "status": TransactionState.INCLUDED.value,
            "blockNumber": hex(height),
            "blockHash": None if header is None else encode_data(header.hash),
            "transactionIndex": hex(index),
            "succeeded": outcome.receipt.succeeded,
            "failure": outcome.failure,
            "output": encode_data(outcome.output),
            "lane": outcome.lane.name.lower(),
            "gasUsed": hex(outcome.gas_used),
            "effectiveGasPrice": hex(outcome.effective_gas_price),
            "computeUnits": hex(outcome.compute_units),
        }
