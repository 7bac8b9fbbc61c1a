"""Simulations and Otterscan's searches on a real state: whatever stands in one place of a request, the answer is no fault."""

from __future__ import annotations

import asyncio
import copy
import functools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cybermiles.chain.predeploys import GOVERNANCE, HISTORY_CONTRACT, STAKING
from cybermiles.rpc.jsonrpc import INTERNAL_ERROR
from tests.factories import ADDRESSES, KEYS, sign
from tests.fakes.rpc import hexed
from tests.unit.rpc.namespaces.test_ots import HASHES, MAKES, SENDS_ON, Source, deploy, node_on

A, B = (hexed(address) for address in ADDRESSES[:2])


class WithoutPool(Source):
    """That no block is built on."""

    def pending_block(self):
        return None


@functools.cache
def served():
    """Return a node on a state with a contract, and requests that it answers with results."""
    source = WithoutPool()
    contract, _ = deploy(source, 3, HASHES + SENDS_ON + MAKES)
    source.advance([sign(KEYS[4], 0, to=contract, value=5, gas=300_000)])
    tx, shop, later = hexed(source.block(2).transactions[0].hash), hexed(contract), source.header(2).timestamp + 9
    first = {
        "blockOverrides": {"number": "0x5", "time": hex(later), "gasLimit": "0x1000000", "feeRecipient": B},
        "stateOverrides": {
            shop: {"code": "0x60016000f3", "balance": "0x9", "nonce": "0x1", "stateDiff": {"0x0": "0x1"}}
        },
        "calls": [
            {"from": A, "to": shop, "value": "0x1", "gas": "0x30d40", "maxFeePerGas": "0x77359400", "nonce": "0x0"},
            {"from": B, "data": "0x600060006000f0", "gasPrice": "0x77359400", "type": "0x1", "gas": "0x30d40"},
        ],
    }
    second = {"calls": [{"to": hexed(STAKING), "data": "0x" + "ab" * 68}]}
    simulated = {"blockStateCalls": [first, second], "validation": False, "traceTransfers": True}
    requests = [
        ("eth_simulateV1", [simulated, "latest"]),
        ("ots_searchTransactionsBefore", [A, 0, 10]),
        ("ots_searchTransactionsAfter", [A, "0x1", 10]),
        ("ots_getBlockTransactions", [2, 0, 10]),
        ("ots_getBlockDetails", [2]),
        ("ots_getTransactionBySenderAndNonce", [A, 0]),
        ("ots_getContractCreator", [shop]),
        ("ots_traceTransaction", [tx]),
        ("eth_getRawTransactionByBlockNumberAndIndex", ["0x2", "0x0"]),
    ]
    return node_on(source), requests


VALUES = st.sampled_from(
    [
        *(None, True, -1, 0, 2**64 - 1, [], {}),
        *("", "0x", "0x0", "0x1", "0x4", hex(30_000_000), hex(2**64 - 1), hex(2**256 - 1), "0x" + "ff" * 32),
        *("latest", "pending", A, B, "0x" + "00" * 20, "0x" + "05".rjust(40, "0")),
        *map(hexed, (STAKING, GOVERNANCE, HISTORY_CONTRACT)),
        *("0x5b600056", "0x" + "60" * 30, "0xef0100" + "11" * 20),
    ]
)


def places(value, path=()):
    """Yield every place in a request."""
    if path:
        yield path
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@given(st.data())
@settings(max_examples=1_500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_request_with_one_place_changed_never_gets_an_internal_error(data):
    node, requests = served()
    method, params = data.draw(st.sampled_from([*[requests[0]] * 9, *requests]))
    params = copy.deepcopy(params)
    *way, last = data.draw(st.sampled_from(list(places(params))))
    inside = functools.reduce(lambda found, key: found[key], way, params)
    inside[last] = data.draw(VALUES)
    answer = asyncio.run(node.ask(method, *params))
    assert answer.get("error", {}).get("code") != INTERNAL_ERROR, (method, params, answer)


def test_the_unchanged_requests_are_answered_with_results():
    node, requests = served()
    for method, params in requests:
        assert "result" in asyncio.run(node.ask(method, *params)), method
