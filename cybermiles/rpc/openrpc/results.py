"""Schemas of results. Where a method has none here, the type that its handler returns decides."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]
Quantity: Schema = {"$ref": "#/components/schemas/Quantity"}
Data: Schema = {"$ref": "#/components/schemas/Data"}
Hash: Schema = {"$ref": "#/components/schemas/Hash"}
Object: Schema = {"type": "object"}
Array: Schema = {"type": "array"}
Objects: Schema = {"type": "array", "items": Object}
NULL: Schema = {"type": "null"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, NULL]}


_QUANTITIES = (
    "eth_chainId eth_blockNumber eth_gasPrice eth_maxPriorityFeePerGas eth_baseFee eth_blobBaseFee eth_getBalance "
    "eth_getTransactionCount eth_estimateGas eth_newFilter eth_newBlockFilter eth_newPendingTransactionFilter "
    "eth_subscribe net_peerCount"
)
_COUNTS = (
    "eth_getBlockTransactionCountByNumber eth_getBlockTransactionCountByHash eth_getUncleCountByBlockNumber "
    "eth_getUncleCountByBlockHash"
)
_DATA = (
    "eth_call eth_getCode eth_getStorageAt debug_getRawHeader debug_getRawBlock debug_getRawTransaction "
    "ots_getTransactionError eth_getRawTransactionByHash eth_getRawTransactionByBlockNumberAndIndex "
    "eth_getRawTransactionByBlockHashAndIndex"
)
_MAYBE_OBJECT = (
    "eth_getBlockByNumber eth_getBlockByHash eth_getTransactionByHash eth_getTransactionByBlockNumberAndIndex "
    "eth_getTransactionByBlockHashAndIndex eth_getTransactionReceipt ots_getContractCreator "
    "erigon_getHeaderByNumber eth_getHeaderByNumber eth_getHeaderByHash"
)
_OBJECTS = (
    "eth_getProof eth_feeHistory eth_createAccessList eth_fillTransaction eth_getStorageValues "
    "eth_sendRawTransactionSync eth_config eth_capabilities txpool_status txpool_content txpool_contentFrom "
    "txpool_inspect cmt_transactionStatus cmt_params cmt_supply cmt_consensusState cmt_queryValidators "
    "cmt_queryValidator cmt_queryDelegator cmt_queryAwardInfos cmt_queryAbsentValidators cmt_queryParams "
    "cmt_queryProposals rpc_modules rpc_discover admin_nodeInfo debug_storageRangeAt ots_getBlockDetails "
    "ots_getBlockDetailsByHash"
)
_LISTS = "eth_accounts eth_getLogs eth_getFilterLogs eth_getFilterChanges eth_simulateV1 debug_getRawReceipts cmt_peers"
OF_METHOD: Final[dict[str, Schema]] = {
    **dict.fromkeys(_QUANTITIES.split(), Quantity),
    **dict.fromkeys(_COUNTS.split(), _or_null(Quantity)),
    **dict.fromkeys(_DATA.split(), Data),
    **dict.fromkeys(_MAYBE_OBJECT.split(), _or_null(Object)),
    **dict.fromkeys(_OBJECTS.split(), Object),
    **dict.fromkeys(_LISTS.split(), Array),
    "eth_getBlockReceipts": _or_null(Objects),
    "eth_sendRawTransaction": Hash,
    "web3_sha3": Hash,
    "ots_getTransactionBySenderAndNonce": _or_null(Hash),
    "eth_syncing": {"anyOf": [{"const": False}, Object]},
}
OF_NAMESPACE: Final[dict[str, Schema]] = {"cmt_build": Object}
"""By how the name begins."""
OF_TYPE: Final[dict[str, Schema]] = {
    "str": {"type": "string"},
    "str | None": _or_null({"type": "string"}),
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "None": NULL,
    "Json": {},
    "RawJson": {},
}
"""By the annotation of what the handler returns."""
