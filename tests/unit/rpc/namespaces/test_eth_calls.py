"""Calls, estimates, access lists."""

import pytest

from cybermiles.chain.predeploys import STAKING
from cybermiles.errors import InsufficientFunds, IntrinsicGasTooLow
from cybermiles.execution.simulate import AccountOverride, BlockOverride, CallFailed
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.ports import ExecutionTimeout, Overloaded
from cybermiles.system.abi import load_abi
from cybermiles.types.primitives import ZERO_ADDRESS
from cybermiles.vm.backend import CallMessage, Failure
from tests.fakes.rpc import (
    CHAIN_ID,
    CONTRACT,
    OTHER,
    SENDER,
    FakeNode,
    authorization,
    execution_result,
    hexed,
    reverted,
)

CALL = {"from": hexed(SENDER), "to": hexed(CONTRACT), "input": "0x01"}
CAP = RpcLimits().call_gas_max


@pytest.mark.asyncio
async def test_a_call_is_asked_at_its_height_with_its_overrides():
    node = FakeNode()
    result = await node.result(
        "eth_call", CALL, {"blockNumber": "0x3"}, {hexed(OTHER): {"balance": "0x9"}}, {"number": "0x7"}
    )
    assert result == "0x" + "00" * 31 + "2a"
    message = CallMessage(sender=SENDER, to=CONTRACT, gas=CAP, data=b"\1")
    overrides = {OTHER: AccountOverride(balance=9)}
    assert node.executor.asked == [("call", message, 3, overrides, BlockOverride(height=7))]


@pytest.mark.asyncio
async def test_a_call_without_anything_runs_at_the_head_from_nobody():
    node = FakeNode()
    await node.result("eth_call", {})
    (asked,) = node.executor.asked
    assert asked == ("call", CallMessage(sender=ZERO_ADDRESS, to=None, gas=CAP), 5, {}, BlockOverride())


@pytest.mark.asyncio
async def test_pending_calls_run_at_the_head():
    node = FakeNode()
    await node.result("eth_call", CALL, "pending")
    assert node.executor.asked[0][2] == 5


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
async def test_a_revert_is_code_3_with_the_data(method):
    node = FakeNode()
    node.executor.result = reverted(b"wrong")
    if method == "eth_estimateGas":
        node.executor.error = CallFailed(reverted(b"wrong"), 100)
    assert await node.error(method, CALL) == {"code": 3, "message": "execution reverted", "data": hexed(b"wrong")}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CallFailed(execution_result(failure=Failure.OUT_OF_GAS), 99), -32000, "gas required exceeds allowance (99)"),
        (IntrinsicGasTooLow("intrinsic gas too low: have 1"), -32000, "intrinsic gas too low: have 1"),
        (InsufficientFunds("insufficient funds for transfer"), -32000, "insufficient funds for transfer"),
        (Overloaded("server busy"), -32005, "server busy"),
        (ExecutionTimeout("execution aborted (timeout = 5s)"), -32000, "execution aborted (timeout = 5s)"),
    ],
)
async def test_an_estimate_that_fails_says_why(error, code, message):
    node = FakeNode()
    node.executor.error = error
    assert await node.error("eth_estimateGas", CALL) == {"code": code, "message": message}


@pytest.mark.asyncio
async def test_a_failed_call_names_the_failure():
    node = FakeNode()
    node.executor.result = execution_result(failure=Failure.COMPUTE_BUDGET)
    assert await node.error("eth_call", CALL) == {"code": -32000, "message": "compute budget exceeded"}


@pytest.mark.asyncio
async def test_a_call_for_another_chain_is_refused():
    error = await FakeNode().error("eth_call", CALL | {"chainId": "0x1"})
    assert error == {"code": -32000, "message": f"chainId does not match node's (have=1, want={CHAIN_ID})"}
    assert await FakeNode().result("eth_call", CALL | {"chainId": hex(CHAIN_ID)})


@pytest.mark.asyncio
async def test_an_access_list_is_answered_with_its_gas():
    node = FakeNode()
    node.executor.gas = 0xCA3C
    slots = ["0x" + "00" * 32, "0x" + "00" * 31 + "01"]
    expected = {"accessList": [{"address": hexed(CONTRACT), "storageKeys": slots}], "gasUsed": "0xca3c"}
    assert await node.result("eth_createAccessList", CALL, "latest") == expected
    node.executor.result = reverted()
    assert await node.result("eth_createAccessList", CALL) == expected | {"error": "execution reverted"}


def encoded(entry):
    return {
        "chainId": hex(entry.chain_id),
        "address": hexed(entry.address),
        "nonce": hex(entry.nonce),
        "yParity": hex(entry.y_parity),
        "r": hex(entry.r),
        "s": hex(entry.s),
    }


@pytest.mark.asyncio
async def test_valid_authorizations_are_played_as_delegation_code_and_cost_gas():
    node = FakeNode()
    used = authorization(0)
    stale = authorization(0)._replace(nonce=3)
    result = await node.result(
        "eth_estimateGas", CALL | {"authorizationList": [encoded(used), encoded(stale), encoded(authorization(1))]}
    )
    assert result == hex(21_000 + 3 * 25_000)
    overrides = node.executor.asked[0][3]
    assert overrides == {OTHER: AccountOverride(code=b"\xef\x01\x00" + CONTRACT, nonce=2)}


@pytest.mark.asyncio
async def test_an_authorization_to_nobody_clears_the_code_and_keeps_other_overrides():
    node = FakeNode()
    entry = encoded(authorization(0, address=ZERO_ADDRESS))
    await node.result("eth_call", CALL | {"authorizationList": [entry]}, "latest", {hexed(OTHER): {"balance": "0x5"}})
    assert node.executor.asked[0][3] == {OTHER: AccountOverride(balance=5, code=b"", nonce=1)}


@pytest.mark.asyncio
async def test_the_gas_of_a_call_is_never_over_the_blocks():
    node = FakeNode(limits=RpcLimits(call_gas_max=10**12))
    await node.result("eth_call", CALL)
    assert node.executor.asked[0][1].gas == node.chain.params.block_gas_limit


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas"])
async def test_a_system_contract_s_refusal_is_said_in_words_and_another_contract_s_is_not(method):
    node = FakeNode()
    data = load_abi("ICmtStaking").errors["BelowMinimum"].encode((10**21,))
    said = ": the least delegation is 1000 CMT; leave as much, or take everything out"
    for to, words in ((STAKING, said), (CONTRACT, "")):
        node.executor.result = reverted(data)
        node.executor.error = CallFailed(reverted(data), 100) if method == "eth_estimateGas" else None
        error = await node.error(method, {"to": hexed(to)})
        assert error == {"code": 3, "message": f"execution reverted{words}", "data": hexed(data)}


@pytest.mark.asyncio
async def test_a_system_contract_out_of_gas_fails_as_any_contract():
    node = FakeNode()
    node.executor.error = CallFailed(execution_result(failure=Failure.OUT_OF_GAS), 100)
    errors = [await node.error("eth_estimateGas", {"to": hexed(to)}) for to in (STAKING, CONTRACT)]
    assert errors[0] == errors[1]


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["eth_call", "eth_estimateGas", "debug_traceCall"])
async def test_no_more_authorizations_are_looked_at_than_a_calls_gas_pays(method):
    entry = {"chainId": "0x0", "address": hexed(CONTRACT), "nonce": "0x0", "yParity": "0x0", "r": "0x1", "s": "0x1"}
    node = FakeNode(limits=RpcLimits(call_gas_max=100_000))
    for count, message in ((4, None), (5, "intrinsic gas too low: 5 authorizations, at most 4 are paid")):
        answer = await node.ask(method, {"to": hexed(CONTRACT), "authorizationList": [entry] * count}, "latest")
        assert ("error" in answer) == (message is not None)
        assert message is None or answer["error"]["message"].startswith(message)
