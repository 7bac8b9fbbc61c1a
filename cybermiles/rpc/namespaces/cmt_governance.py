"""`cmt_queryParams` and `cmt_queryProposals`: the original chain's names and shapes, at any height.

Proposals have the original's capitalised keys; what only this chain has (opening time, powers, status) is beside them
in the same style. A proposal ends by time here, so `ExpireBlockHeight` is 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cybermiles.rpc.block_references import state_height
from cybermiles.rpc.methods import Method
from cybermiles.rpc.namespaces.cmt_staking import HEIGHT, LIST_WEIGHT, OFFSET
from cybermiles.system.interface import GOVERNANCE_ABI

if TYPE_CHECKING:
    from cybermiles.rpc.block_references import BlockReference
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader
    from cybermiles.rpc.system_reader import SystemReader

MAX_PROPOSALS = 20
"""Proposals of one answer: with their texts they are long."""
PARAMS_WEIGHT = 1
_TYPES = {
    "RecoverFunds": "transfer_fund",
    "ChangeParam": "change_param",
    "Upgrade": "upgrade_program",
    "Signal": "signal",
}
_RESULTS = {
    "Passed": "Approved",
    "Executed": "Approved",
    "Rejected": "Rejected",
    "Expired": "Expired",
    "Cancelled": "Cancelled",
    "Failed": "fail",
}
"""Status to the original's result; none while votes are taken."""


class CmtGovernance:
    """The cmt namespace's reads of governance."""

    def __init__(self, chain: ChainReader, reader: SystemReader) -> None:
        self._chain = chain
        self._reader = reader

    def methods(self) -> tuple[Method, ...]:
        """Return the table of methods."""
        return (
            Method(name="cmt_queryParams", handler=self.params, params=(HEIGHT,), weight=PARAMS_WEIGHT),
            Method(name="cmt_queryProposals", handler=self.proposals, params=(HEIGHT, OFFSET), weight=LIST_WEIGHT),
        )

    def params(self, reference: BlockReference) -> Json:
        """Return the parameters in force in the block after a height, as exact decimal strings."""
        height = state_height(self._chain, reference)
        data: dict[str, Json] = {}
        data.update(self._chain.params_at(height).to_strings())
        return {"height": height, "data": data}

    async def proposals(self, reference: BlockReference, offset: int) -> Json:
        """Return `MAX_PROPOSALS` proposals from an offset, the oldest first."""
        height = state_height(self._chain, reference)
        found: Any = await self._reader.ask(height, GOVERNANCE_ABI, "proposals", offset, MAX_PROPOSALS)
        return {"height": height, "data": [await self._proposal(height, proposal) for proposal in found]}

    async def _proposal(self, height: int, proposal: dict[str, Any]) -> Json:
        return {
            "Id": proposal["id"],
            "Type": _TYPES[proposal["kind"]],
            "Proposer": proposal["proposer"],
            "BlockHeight": proposal["createdBlock"],
            "ExpireTimestamp": proposal["closesTime"],
            "ExpireBlockHeight": 0,
            "Result": _RESULTS.get(proposal["status"], ""),
            "ResultMsg": proposal["outcome"],
            "ResultBlockHeight": proposal["executedBlock"],
            "Detail": await self._detail(height, proposal),
            "Status": proposal["status"],
            "Title": proposal["title"],
            "OpenTimestamp": proposal["opensTime"],
            "ExecuteTimestamp": proposal["executesTime"],
            "YesPower": proposal["yesPower"],
            "NoPower": proposal["noPower"],
            "TotalPower": proposal["totalPower"],
            "Bond": proposal["bond"],
            "Frozen": proposal["holdsFunds"],
        }

    async def _detail(self, height: int, proposal: dict[str, Any]) -> Json:
        reason: dict[str, Json] = {"reason": proposal["reason"]}
        match proposal["kind"]:
            case "RecoverFunds":
                terms = await self._terms(height, "recovery", proposal)
                return {
                    "from": terms["from"],
                    "amount": terms["amount"],
                    "victims_root": terms["victimsRoot"],
                    **reason,
                }
            case "ChangeParam":
                terms = await self._terms(height, "paramChange", proposal)
                change = {"name": terms["name"], "value": terms["newValue"], "old_value": terms["oldValue"]}
                return {**change, "from_block": terms["fromBlock"], **reason}
            case "Upgrade":
                terms = await self._terms(height, "upgrade", proposal)
                return {
                    "name": terms["name"],
                    "version": terms["version"],
                    "app_version": terms["appVersion"],
                    "file_url": terms["url"],
                    "artifact_hash": terms["artifactHash"],
                    "upgrade_block_height": terms["atBlock"],
                    **reason,
                }
            case _:
                return reason

    async def _terms(self, height: int, function: str, proposal: dict[str, Any]) -> Any:  # noqa: ANN401  (shapes are the ABI's)
        return await self._reader.ask(height, GOVERNANCE_ABI, function, int(proposal["id"]))
