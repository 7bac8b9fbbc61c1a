"""Well-known methods that this node does not serve, and what to do instead.

A caller of one is told why; the code is that of any unknown method, by which libraries fall back to something else.
"""

from __future__ import annotations

from typing import Final

from cybermiles.rpc.jsonrpc import RpcError, unknown_method

_NO_KEYS = "the node holds no keys; sign in your wallet and use eth_sendRawTransaction"
_NO_MINING = "nothing is mined, validators decide blocks; see cmt_consensusState"
_DEVELOPMENT = (
    "it is of chains for development, and where rpc.host lets other machines in, only HOME/cmt.ipc has it unless "
    "rpc.namespaces names it"
)
_NO_COMPILER = "compile with solc"
ABSENT: Final = {
    "eth_sendTransaction": _NO_KEYS,
    "eth_sign": _NO_KEYS,
    "eth_signTransaction": _NO_KEYS,
    "eth_signTypedData": _NO_KEYS,
    "eth_signTypedData_v4": _NO_KEYS,
    "eth_coinbase": "the node has no account; a block's miner is the operator of its proposer",
    "eth_etherbase": "the node has no account; a block's miner is the operator of its proposer",
    "eth_pendingTransactions": "the node has no accounts; see txpool_content",
    "eth_resend": _NO_KEYS,
    "eth_mining": _NO_MINING,
    "eth_hashrate": _NO_MINING,
    "eth_getWork": _NO_MINING,
    "eth_submitWork": _NO_MINING,
    "eth_submitHashrate": _NO_MINING,
    "eth_protocolVersion": "nodes do not speak devp2p; see web3_clientVersion",
    "eth_getBlockAccessList": "blocks carry no access lists (EIP-7928); see debug_traceBlockByNumber",
    "eth_getCompilers": _NO_COMPILER,
    "eth_compileSolidity": _NO_COMPILER,
    "debug_getRawBlockAccessList": "blocks carry no access lists (EIP-7928)",
}
"""By name."""
ABSENT_NAMESPACES: Final = {
    "personal": _NO_KEYS,
    "engine": "consensus is part of the node",
    "miner": _NO_MINING,
    "clique": _NO_MINING,
    **dict.fromkeys(("evm", "anvil", "hardhat"), _DEVELOPMENT),
    "trace": "use debug_traceTransaction with callTracer",
}
"""By what stands before the underscore."""


def not_served(name: str) -> RpcError:
    """Return the error for a method that is not served, with the reason where it is a well-known one."""
    error = unknown_method(name)
    why = ABSENT.get(name) or ABSENT_NAMESPACES.get(name.partition("_")[0])
    return error if why is None else RpcError(error.code, f"{error.message}: {why}")
