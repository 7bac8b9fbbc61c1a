"""The job behind `eth_simulateV1`: executes the blocks and renders them, within one allowance for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from cybermiles import errors
from cybermiles.errors import ConfigError, InvalidTransaction
from cybermiles.execution.imagined import Allowance, AllowanceUsedUp, imagine_block
from cybermiles.rpc.errors import failed_call, to_rpc_error
from cybermiles.rpc.jsonrpc import INVALID_PARAMS, SERVER_ERROR, RawJson, RpcError, response_too_large
from cybermiles.rpc.quantities import encode_data
from cybermiles.rpc.serializers import Contents
from cybermiles.rpc.simulation.request import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cybermiles.execution.imagined import BlockPlan, ImaginedBlock
    from cybermiles.execution.parent import Parent
    from cybermiles.rpc.jobs import JobSource
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.serializers import Serializer
    from cybermiles.rpc.simulation.request import SimulationRequest
    from cybermiles.vm.backend import ExecutionResult

EXECUTION_ERROR = -32015
_CODES: tuple[tuple[type[InvalidTransaction], int], ...] = (
    (errors.NonceTooLow, -38010),
    (errors.NonceTooHigh, -38011),
    (errors.FeeCapTooLow, -38012),
    (errors.Underpriced, -38012),
    (errors.IntrinsicGasTooLow, -38013),
    (errors.InsufficientFunds, -38014),
    (errors.GasLimitExceeded, -38015),
    (errors.NotIncludable, -38015),
    (errors.SenderHasCode, -38024),
    (errors.InitcodeTooLarge, -38025),
    (errors.TipAboveFeeCap, INVALID_PARAMS),
)
"""The execution API's codes for what keeps a call out of its block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulateBlocks:
    """A `rpc.jobs.Job`: blocks on the state after `height`."""

    request: SimulationRequest
    height: int
    serializer: Serializer
    max_blocks: int
    max_bytes: int
    gas: int
    """Of all calls together."""
    gas_per_call: int

    def run(self, source: JobSource) -> RawJson:
        """Return the blocks. Raises RpcError with the API's codes, StateUnavailable where the state is pruned."""
        parent = source.parent(self.height)
        allowance = Allowance(self.gas, parent.params.compute_units_per_block, self.gas_per_call)
        rendered: list[bytes] = []
        size = 0
        for plan in self.request.plans(parent.header, self.max_blocks):
            block = self._execute(source, plan, parent, allowance)
            parent = block.following
            rendered.append(orjson.dumps(self._block(block)))
            size += len(rendered[-1])
            if size > self.max_bytes:
                raise response_too_large(size, self.max_bytes)
        return RawJson(b"[%b]" % b",".join(rendered))

    def _execute(self, source: JobSource, plan: BlockPlan, parent: Parent, allowance: Allowance) -> ImaginedBlock:
        request = self.request
        try:
            return imagine_block(
                source.constants, parent, plan, allowance, validate=request.validate, transfers=request.transfers
            )
        except InvalidTransaction as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), SERVER_ERROR)
            worded = to_rpc_error(error)
            raise RpcError(code, str(error) if worded is None else worded.message) from None
        except ConfigError as error:
            raise RpcError(INVALID_PARAMS, f"blockOverrides: gasLimit: {error}") from None
        except AllowanceUsedUp as error:
            raise RpcError(LIMIT, f"{error}; its gas is {self.gas} (rpc.simulate_gas_max)") from None

    def _block(self, block: ImaginedBlock) -> Json:
        contents = Contents(block.header, block.transactions)
        if self.request.full_transactions:
            transactions = list(self.serializer.transactions(contents, block.outcomes))
        else:
            transactions = list(self.serializer.hashes(contents))
        size = len(block.header.encode()) + sum(transaction.size for transaction in block.transactions)
        shown = self.serializer.block(block.header, transactions, size=size)
        return {**shown, "calls": list(self._calls(block))}

    def _calls(self, block: ImaginedBlock) -> Iterator[Json]:
        first_log = 0
        for index, (result, logs) in enumerate(block.calls):
            tx_hash = block.transactions[index].hash
            shown: dict[str, Json] = {
                "returnData": encode_data(result.output),
                "logs": self.serializer.logs(block.header, tx_hash, index, enumerate(logs, first_log)),
                "gasUsed": hex(result.gas_used),
                "maxUsedGas": hex(result.gas_used + result.gas_refund),
                "status": "0x1" if result.failure is None else "0x0",
            }
            if result.failure is not None:
                shown["error"] = _error(result)
            first_log += len(logs)
            yield shown


def _error(result: ExecutionResult) -> Json:
    error = failed_call(result)
    code = EXECUTION_ERROR if error.code == SERVER_ERROR else error.code
    shown: dict[str, Json] = {"code": code, "message": error.message}
    return shown if error.data is None else {**shown, "data": error.data}
