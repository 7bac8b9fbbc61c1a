"""Requests to send a node: valid ones of every method, and what a stranger may make of them.

A request is built as a tree, damaged, and written as JSON text. `RAW` strings in the tree stand for text that no JSON
library writes: numbers out of range, repeated keys, lone surrogates. Methods without an entry in `templates` get
arguments at random, so that a new method is fuzzed from its first day.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.jsonrpc import RpcError, decode

RAW = (
    "NaN",
    "-Infinity",
    "1e999",
    "-1e-999",
    "1.0",
    "-0",
    "9" * 400,
    "18446744073709551616",
    "-9223372036854775809",
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '{"a":1,"a":2}',
    '{"to":null,"to":"0x","to":[]}',
    "[" * 15 + "]" * 15,
    "[" * 60 + "]" * 60,
    '{"":' * 12 + "0" + "}" * 12,
    "tru",
    "'single'",
    '"\t"',
    "01",
    "/**/1",
)
"""JSON text, good and bad."""
ODD_STRINGS = (
    "",
    "0x",
    "0X1",
    "0x0",
    "0x00",
    "0x1_0",
    "0x 1",
    "0x-1",
    "0xg",
    "0x١",
    "0x" + "f" * 64,
    "0x1" + "0" * 64,
    "0x" + "0" * 65,
    "0x" + "ab" * 20,
    "0x" + "ab" * 32,
    "0x" + "00" * 20,
    "0x" + "ff" * 32,
    "0x" + "ab" * 5_000,
    "0x" + "a" * 41,
    "ab" * 20,
    "latest",
    "earliest",
    "pending",
    "safe",
    "finalized",
    "LATEST",
    "genesis",
    "newHeads",
    "logs",
    "🐍" * 20,
    "\u202e\u0000\n\r\x1b[31m",
    "a" * 3_000,
    "../../etc/passwd",
    "%s%n{0}{}",
    "1e5",
    "-1",
    "0",
)
ODD_VALUES = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**53,
    2**63 - 1,
    2**64 - 1,
    -(2**63),
    0.5,
    1e300,
    [],
    {},
    [[]],
    [{}],
    {"": {}},
    [None] * 40,
    ["latest"],
    {"blockHash": "latest"},
    {"blockNumber": "0x1", "blockHash": "0x1"},
    {"blockNumber": None},
    list(range(130)),
    [[["0x"]]],
)
FIELDS = (
    "from to gas gasPrice maxFeePerGas maxPriorityFeePerGas value data input nonce chainId type accessList "
    "authorizationList fromBlock toBlock address topics blockHash blockNumber requireCanonical balance code state "
    "stateDiff number time tracer tracerConfig timeout disableStorage enableMemory blockStateCalls calls validation "
    "traceTransfers stateOverrides blockOverrides storageKeys yParity r s toString __class__ id method"
).split()
ENVELOPES = (
    {"jsonrpc": "1.0"},
    {"jsonrpc": None},
    {"jsonrpc": 2},
    {"method": None},
    {"method": ""},
    {"method": "eth_"},
    {"method": "eth_getBalance\x00"},
    {"method": "a" * 500},
    {"method": ["eth_chainId"]},
    {"params": {}},
    {"params": {"address": "0x"}},
    {"params": "latest"},
    {"params": 0},
    {"params": None},
    {"id": None},
    {"id": 1.5},
    {"id": True},
    {"id": {}},
    {"id": [1]},
    {"id": "\u0000"},
    {"id": "x" * 2_000},
    {"id": 2**64 - 1},
    {"id": -(2**63)},
)
RAW_SHARES = (0, 0, 0, 0.04)
"""Of the damages in a body: one text that is no JSON, and nothing of a whole batch is looked at."""
_MARK = "@raw%d@"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the node under test really has."""

    height: int
    block_hashes: tuple[str, ...]
    transactions: tuple[str, ...]
    """Hashes."""
    raw_transactions: tuple[str, ...]
    """Signed; the node may know them already."""
    accounts: tuple[str, ...]
    contracts: tuple[str, ...]
    topics: tuple[str, ...]


class Body(NamedTuple):
    """One body to send."""

    data: bytes
    cases: int
    """Requests in it."""
    last_id: str | None
    """Id of a last request that certainly has an answer; None where that is not known."""


def templates(facts: Facts) -> dict[str, list[list[object]]]:  # noqa: PLR0914  (a table)
    """Return method to valid argument lists."""
    account, contract = facts.accounts[0], facts.contracts[0]
    block, transaction = facts.block_hashes[-1], facts.transactions[0]
    raw, topic = facts.raw_transactions, facts.topics[0]
    blocks = ["latest", "pending", "earliest", "0x1", hex(facts.height), block, {"blockHash": block}]
    call = {"from": account, "to": contract, "data": "0x01", "gas": "0xffff"}
    listed = {"type": "0x1", "accessList": [{"address": contract, "storageKeys": ["0x0", "0x" + "11" * 32]}]}
    creation = {"from": account, "data": "0x6000600055600160005260206000f3", "value": "0x0", "maxFeePerGas": "0x0"}
    overrides = {
        account: {"balance": "0x1", "nonce": "0x5"},
        contract: {"code": "0x5b600056", "stateDiff": {"0x1": "0x2"}},
    }
    looping = {contract: {"code": "0x60005b600101600256", "state": {"0x" + "00" * 32: "0x" + "00" * 31 + "01"}}}
    most = {
        account: {"balance": "0x" + "f" * 64, "nonce": hex(2**64 - 2)},
        contract: {"balance": "0x" + "f" * 64, "nonce": hex(2**64 - 1), "code": "0x4760005260206000f3"},
    }
    paying = {"from": account, "to": contract, "value": "0x5"}
    block_overrides = {"number": "0x64", "time": "0xffffffff", "coinbase": account, "gasLimit": "0xffffff"}
    query = {
        "fromBlock": "0x0",
        "toBlock": "latest",
        "address": [contract, account],
        "topics": [[topic, None], None, []],
    }
    simulate = {
        "blockStateCalls": [{"blockOverrides": {"time": "0xffffffff"}, "stateOverrides": overrides, "calls": [call]}]
    }
    tracers: list[object] = [{"tracer": name} for name in ("callTracer", "prestateTracer", "4byteTracer", "noopTracer")]
    tracers += [{}, {"enableMemory": True, "enableReturnData": True, "limit": 5}]
    tracers.append({"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}})
    tracers.append({"tracer": "callTracer", "tracerConfig": {"withLog": True, "onlyTopCall": True}, "timeout": "1s"})
    one = {name: [[block_]] for block_ in ("latest",) for name in ONE_BLOCK}
    table: dict[str, list[list[object]]] = one | {
        "eth_getBlockByNumber": [[name, full] for name in blocks[:5] for full in (True, False)],
        "eth_getBlockByHash": [[block, True], [block, False]],
        "eth_getBlockReceipts": [[name] for name in blocks],
        "eth_getBlockTransactionCountByHash": [[block]],
        "eth_getTransactionByHash": [[transaction]],
        "eth_getTransactionReceipt": [[transaction]],
        "eth_getTransactionByBlockNumberAndIndex": [[hex(facts.height), "0x0"]],
        "eth_getTransactionByBlockHashAndIndex": [[block, "0x0"]],
        "eth_getUncleCountByBlockHash": [[block]],
        "eth_getUncleByBlockNumberAndIndex": [["latest", "0x0"]],
        "eth_getUncleByBlockHashAndIndex": [[block, "0x0"]],
        "eth_getBalance": [[account, name] for name in blocks],
        "eth_getTransactionCount": [[account, name] for name in blocks],
        "eth_getCode": [[contract, name] for name in blocks],
        "eth_getStorageAt": [[contract, "0x0", name] for name in blocks],
        "eth_getStorageValues": [[{contract: ["0x0", "0x" + "00" * 32], account: ["0x1"]}, "latest"]],
        "eth_getProof": [[contract, ["0x0", "0x" + "11" * 32], "latest"], [account, [], "earliest"]],
        "eth_call": [
            [call],
            [call, "latest"],
            [creation, "latest"],
            [call, "latest", overrides, block_overrides],
            [call, "latest", looping],
            [paying, "latest", most],
        ],
        "eth_estimateGas": [[call], [call | listed, "latest"], [creation], [call, "latest", overrides]],
        "eth_createAccessList": [[call, "latest"], [creation]],
        "eth_feeHistory": [["0x4", "latest", [1, 50.5, 99]], [4, "0x1"], ["0x400", "latest", []]],
        "eth_sendRawTransaction": [[item] for item in raw],
        "eth_fillTransaction": [[call], [creation]],
        "eth_getLogs": [[query], [{"blockHash": block}], [{}], [query | {"topics": [topic]}]],
        "eth_newFilter": [[query]],
        "eth_getFilterChanges": [["0x1"]],
        "eth_getFilterLogs": [["0x1"]],
        "eth_uninstallFilter": [["0x" + "12" * 16]],
        "eth_subscribe": [["newHeads"], ["logs", query], ["newPendingTransactions", True]],
        "eth_unsubscribe": [["0x1"]],
        "eth_simulateV1": [
            [{"blockStateCalls": [{"stateOverrides": most, "calls": [paying, paying]}, {"calls": [paying]}]}],
            [simulate, "latest"],
            [simulate | {"validation": True, "traceTransfers": True}],
        ],
        "web3_sha3": [["0x68656c6c6f"]],
        "txpool_contentFrom": [[account]],
        "cmt_transactionStatus": [[transaction]],
        "cmt_queryValidators": [[0, 0], ["latest"]],
        "cmt_queryValidator": [[account, 0]],
        "cmt_queryDelegator": [[account, 0, 0]],
        "cmt_queryProposals": [[0, 0]],
        "debug_getRawTransaction": [[transaction]],
        "debug_traceTransaction": [[transaction, tracer] for tracer in tracers],
        "debug_traceCall": [[call, "latest", tracer] for tracer in tracers],
        "debug_traceBlockByNumber": [[hex(facts.height), tracer] for tracer in tracers],
        "debug_traceBlockByHash": [[block, tracer] for tracer in tracers],
        "debug_storageRangeAt": [[block, 0, contract, "0x0", 10]],
        "ots_getTransactionError": [[transaction]],
        "ots_traceTransaction": [[transaction]],
        "ots_getInternalOperations": [[transaction]],
        "ots_getBlockTransactions": [[hex(facts.height), 0, 10]],
        "ots_searchTransactionsBefore": [[account, 0, 10]],
        "ots_searchTransactionsAfter": [[account, 0, 10]],
        "ots_getTransactionBySenderAndNonce": [[account, 0]],
        "ots_getContractCreator": [[contract]],
        "ots_hasCode": [[contract, "latest"]],
    }
    for builder, fields in BUILDERS.items():
        table[builder] = [[{"from": account} | dict.fromkeys(fields, "0x1")], [{"from": account, "validator": account}]]
    return table


ONE_BLOCK = (
    "eth_getBlockTransactionCountByNumber",
    "eth_getUncleCountByBlockNumber",
    "debug_getRawHeader",
    "debug_getRawBlock",
    "debug_getRawReceipts",
    "cmt_params",
    "cmt_supply",
    "cmt_queryAwardInfos",
    "cmt_queryAbsentValidators",
    "cmt_queryParams",
    "ots_getBlockDetails",
)
BUILDERS = {
    "cmt_buildDelegate": ("validator", "value"),
    "cmt_buildDeclareCandidacy": ("consensusKey", "keyProof", "stakeCap", "compRatePpm", "profile", "value"),
    "cmt_buildProposeParam": ("name", "newValue", "fromBlock", "title", "reason", "closesTime", "value"),
    "cmt_buildVote": ("id", "choice"),
    "cmt_buildSubmitEvidence": ("first", "second"),
    "cmt_buildClaim": ("id", "victim", "amount", "proof"),
}
RARE = {"eth_subscribe": 0.3, "txpool_content": 0.3, "txpool_inspect": 0.3, "debug_traceBlockByNumber": 0.3}
"""Methods whose answers are long: a share of the others' turns, so that a million cases end in time."""


class Generator:
    """Makes bodies from a source of randomness; the same source gives the same bodies."""

    def __init__(self, rng, methods, facts: Facts, *, more=None, rare=None) -> None:
        """`more` templates and `rare` methods are added to those of this module."""
        self._rng = rng
        self._methods = list(methods)
        shares = RARE | (rare or {})
        self._weights = [shares.get(name, 1.0) for name in self._methods]
        self._templates = templates(facts) | (more or {})
        self._facts = facts
        self._number = 0
        self._raw_share = 0.0

    def body(self) -> Body:
        """Return the next body."""
        rng = self._rng
        self._raw_share = rng.choice(RAW_SHARES)
        kind = rng.random()
        if kind < 0.04:
            return Body(self._odd_body(), 1, None)
        if kind < 0.10:
            return Body(self._scratched(self._request()[0].encode("utf-8", "surrogatepass")), 1, None)
        if kind < 0.30:
            text, answered = self._request()
            data = text.encode("utf-8", "surrogatepass")
            return Body(data, 1, answered if reads(data) else None)
        items = [self._request()[0] for _ in range(rng.randrange(1, 60))]
        self._number += 1
        last = f"last-{self._number}"
        items.append(json.dumps({"jsonrpc": "2.0", "id": last, "method": "eth_chainId"}))
        data = f"[{','.join(items)}]".encode("utf-8", "surrogatepass")
        if rng.random() < 0.03:
            return Body(self._scratched(data), len(items), None)
        return Body(data, len(items), last if reads(data) else None)

    def _request(self) -> tuple[str, str | None]:
        """Return the text of a request and its id, where it surely has an answer."""
        rng = self._rng
        self._number += 1
        method = rng.choices(self._methods, self._weights)[0]
        params = self._params(method)
        request: dict[str, object] = {"jsonrpc": "2.0", "id": f"r{self._number}", "method": method, "params": params}
        kind, raws = rng.random(), []
        if kind < 0.70:
            for _ in range(rng.choice((1, 1, 2, 3))):
                params = self._damaged(params, raws)
            request["params"] = params
        elif kind < 0.76:
            request |= rng.choice(ENVELOPES)
        elif kind < 0.78:
            request.pop(rng.choice(tuple(request)))
        text = json.dumps(request, ensure_ascii=rng.random() < 0.9)
        for index, raw in enumerate(raws):
            text = text.replace(json.dumps(_MARK % index), raw)
        return text, f"r{self._number}" if 0.78 <= kind or (kind < 0.70 and not raws) else None

    def _params(self, method: str) -> object:
        known = self._templates.get(method)
        if known is None or self._rng.random() < 0.05:
            return [self._value() for _ in range(self._rng.randrange(4))]
        return json.loads(json.dumps(self._rng.choice(known)))

    def _value(self) -> object:
        rng, facts = self._rng, self._facts
        match rng.randrange(8):
            case 0 | 1:
                return rng.choice(ODD_STRINGS)
            case 2 | 3:
                return rng.choice(ODD_VALUES)
            case 4:
                return rng.choice(facts.accounts + facts.contracts + facts.block_hashes + facts.transactions)
            case 5:
                return hex(rng.getrandbits(rng.choice((3, 8, 32, 63, 64, 128, 256, 257))))
            case 6:
                return {rng.choice(FIELDS): self._value() for _ in range(rng.randrange(1, 4))}
            case _:
                return [self._value() for _ in range(rng.randrange(3))]

    def _damaged(self, node: object, raws: list[str]) -> object:
        """Return a tree that differs in one place."""
        rng = self._rng
        if isinstance(node, list) and node and rng.random() < 0.8:
            return self._damaged_list(node, raws)
        if isinstance(node, dict) and node and rng.random() < 0.8:
            return self._damaged_object(node, raws)
        if isinstance(node, str) and rng.random() < 0.5:
            return self._scratched_text(node)
        if rng.random() < self._raw_share:
            raws.append(rng.choice(RAW))
            return _MARK % (len(raws) - 1)
        return self._value()

    def _damaged_list(self, node: list, raws: list[str]) -> list:
        place = self._rng.randrange(len(node))
        match self._rng.randrange(10):
            case 0:
                return node[:place] + node[place + 1 :]
            case 1:
                return [*node[:place], self._value(), *node[place:]]
            case 2:
                return [*node, *node]
            case _:
                return [*node[:place], self._damaged(node[place], raws), *node[place + 1 :]]

    def _damaged_object(self, node: dict, raws: list[str]) -> dict:
        key = self._rng.choice(tuple(node))
        match self._rng.randrange(10):
            case 0:
                return {other: value for other, value in node.items() if other != key}
            case 1:
                return node | {self._rng.choice(FIELDS): self._value()}
            case 2:
                new = self._scratched_text(key)
                return {new if other == key else other: value for other, value in node.items()}
            case _:
                return node | {key: self._damaged(node[key], raws)}

    def _scratched_text(self, text: str) -> str:
        rng = self._rng
        at = rng.randrange(len(text) + 1)
        match rng.randrange(6):
            case 0:
                return text[:at]
            case 1:
                return text[:at] + rng.choice("0fgxX _-+\x00é١🐍\ud800\n") + text[at:]
            case 2:
                return text.upper()
            case 3:
                return text[2:]
            case 4:
                return text + text
            case _:
                return text[:at] + text[at + 1 :]

    def _scratched(self, data: bytes) -> bytes:
        rng, changed = self._rng, bytearray(data)
        for _ in range(rng.choice((1, 1, 2, 5))):
            at = rng.randrange(len(changed) + 1)
            match rng.randrange(4):
                case 0 if at < len(changed):
                    changed[at] ^= 1 << rng.randrange(8)
                case 1:
                    del changed[at : at + rng.randrange(1, 20)]
                case 2:
                    changed[at:at] = rng.randbytes(rng.randrange(1, 8))
                case _:
                    changed[at:at] = rng.choice((b"[", b"{", b'"', b"\\", b"}", b"]", b",", b"\xff", b"\x00", b"null"))
        return bytes(changed)

    def _odd_body(self) -> bytes:
        rng = self._rng
        deep = rng.choice((10, 64, 65, 1_000, 100_000))
        opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"jsonrpc":', b"}]")))
        return rng.choice(
            (
                b"",
                b"[]",
                b"null",
                b"{}",
                b"[[]]",
                b"[1,2,3]",
                b"\xef\xbb\xbf{}",
                b"\x00" * 100,
                rng.randbytes(rng.randrange(300)),
                b"[" + b"{}," * 99 + b"{}]",
                b"[" + b"null," * 200 + b"0]",
                opening * deep + b"0" + closing * deep,
                opening * deep,
                b'"' + b"\\" * 10_001 + b'"',
                b'{"jsonrpc":"2.0","id":1,"id":2,"method":"eth_chainId","method":"eth_accounts"}',
                b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}{"jsonrpc":"2.0","id":2,"method":"eth_chainId"}',
                b'{"jsonrpc":"2.0","id":1,"method":"web3_sha3","params":["0x' + b"00" * 200_000 + b'"]}',
            )
        )


def reads(data: bytes) -> bool:
    """Return whether the node reads the text as JSON, so that a request in it that is whole has an answer."""
    try:
        decode(data, RpcLimits())
    except RpcError:
        return False
    return True
