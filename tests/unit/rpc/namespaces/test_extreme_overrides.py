"""Overrides as high as their encoding allows: an answer or an error in words, and never an internal one."""

from __future__ import annotations

import pytest

from cybermiles.execution.simulate import LAST_NONCE, MOST_BALANCE
from cybermiles.rpc.call_jobs import JobExecutor
from cybermiles.rpc.namespaces.eth_calls import DELEGATION_PREFIX
from tests.fakes.rpc import OTHER, FakeNode, authorization, hexed
from tests.fakes.sources import MemorySource

RICH, CONTRACT = "0x" + "99" * 20, "0x" + "66" * 20
OWN_BALANCE = "0x4760005260206000f3"
MOST = hex(2**256 - 1)
OVERRIDES = {RICH: {"balance": MOST}, CONTRACT: {"balance": MOST, "code": OWN_BALANCE}}
CALL = {"from": RICH, "to": CONTRACT, "value": hex(MOST_BALANCE)}


class Inline(JobExecutor):
    def __init__(self, source):
        self.source = source

    async def run(self, job):
        return job.run(self.source)


@pytest.fixture(scope="module")
def node():
    source = MemorySource()
    made = FakeNode(chain=source)
    inline = Inline(source)
    for name in ("run", "call", "estimate_gas", "create_access_list"):
        setattr(made.executor, name, getattr(inline, name))
    return made


def simulated(overrides, *blocks, **more):
    entries = [{"calls": calls} for calls in blocks]
    entries[0]["stateOverrides"] = overrides
    return {"blockStateCalls": entries, **more}


@pytest.mark.asyncio
async def test_balances_that_would_pass_256_bits_are_cut_before_they_do(node):
    assert int(await node.result("eth_call", CALL, "latest", OVERRIDES), 16) == 2 * MOST_BALANCE
    assert int(await node.result("eth_estimateGas", CALL, "latest", OVERRIDES), 16) > 21_000
    traced = await node.result("debug_traceCall", CALL, "latest", {"tracer": "callTracer", "stateOverrides": OVERRIDES})
    assert int(traced["output"], 16) == 2 * MOST_BALANCE
    (block,) = await node.result("eth_simulateV1", simulated(OVERRIDES, [CALL]), "latest")
    assert int(block["calls"][0]["returnData"], 16) == 2 * MOST_BALANCE


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "call", [{"from": RICH, "to": CONTRACT, "gas": "0xffff"}, {"from": RICH, "data": "0x00", "gas": "0xffff"}]
)
@pytest.mark.parametrize("validation", [True, False])
async def test_a_sender_without_a_next_nonce_sends_nothing(node, call, validation):
    last, one_before = ({RICH: {"nonce": hex(nonce)}} for nonce in (LAST_NONCE, LAST_NONCE - 1))
    refused = f"nonce has max value: {LAST_NONCE}"
    for method, *arguments in (
        ("eth_call", call, "latest", last),
        ("eth_estimateGas", call, "latest", last),
        ("debug_traceCall", call, "latest", {"tracer": "prestateTracer", "stateOverrides": last}),
        ("eth_simulateV1", simulated(last, [call], validation=validation), "latest"),
        ("eth_simulateV1", simulated(one_before, [call, call], validation=validation), "latest"),
        ("eth_simulateV1", simulated(one_before, [call], [call], validation=validation), "latest"),
    ):
        answer = await node.ask(method, *arguments)
        assert answer["error"]["message"].endswith(refused), method
    for method, *arguments in (
        ("eth_call", call, "latest", one_before),
        ("eth_simulateV1", simulated(one_before, [call], [], validation=validation), "latest"),
    ):
        await node.result(method, *arguments)


@pytest.mark.asyncio
async def test_an_authorization_with_the_last_nonce_does_nothing():
    node = FakeNode()
    for nonce, delegates in ((LAST_NONCE, False), (LAST_NONCE - 1, True)):
        entry = authorization(nonce)
        given = {
            "chainId": hex(entry.chain_id),
            "address": hexed(entry.address),
            "nonce": hex(entry.nonce),
            "yParity": hex(entry.y_parity),
            "r": hex(entry.r),
            "s": hex(entry.s),
        }
        state = {hexed(OTHER): {"nonce": hex(nonce)}}
        await node.result("eth_call", {"to": CONTRACT, "authorizationList": [given]}, "latest", state)
        override = node.executor.asked[-1][3][OTHER]
        assert (override.code == DELEGATION_PREFIX + entry.address, override.nonce) == (delegates, nonce + delegates)
