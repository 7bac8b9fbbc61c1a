"""Bodies and their answers: errors, batches, limits, and that nothing ever escapes."""

import asyncio
import json

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cybermiles.errors import NonceTooLow, StorageError
from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.dispatcher import Dispatcher
from cybermiles.rpc.methods import Context, Method, Param
from cybermiles.rpc.quantities import parse_quantity
from tests.fakes.rpc import FakeNode, hexed, sign_transaction, valid_requests


def call(method, *params, request_id=1):
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}


async def echo(value):
    return value


async def sleep(seconds):
    await asyncio.sleep(seconds)
    return "slept"


async def double_all(values):
    return [NonceTooLow("nonce too low") if value == 13 else hex(value * 2) for value in values]


class Bucket:
    refusal = "none are left (rpc.requests_per_second)"

    def __init__(self, left):
        self.left = left

    def spend(self, weight, method=""):
        self.left -= weight
        return self.left >= 0

    def is_hog(self):
        return False


class Log:
    def __init__(self):
        self.seen = []

    def request(self, method, outcome, seconds):
        assert seconds >= 0
        self.seen.append((method, outcome))


def fail(error):
    raise error


def dispatcher(observer=None, **limits):
    anything = (Param(lambda value: value),)
    number = (Param(parse_quantity),)
    return Dispatcher(
        [
            Method(name="echo", handler=echo, params=anything),
            Method(name="sleep", handler=sleep, params=anything),
            Method(name="add", handler=lambda a, b: hex(a + b), params=(*number, Param(parse_quantity, default=1))),
            Method(name="broken", handler=lambda: fail(ZeroDivisionError("secret detail"))),
            Method(name="disk", handler=lambda: fail(StorageError("/secret/path"))),
            Method(name="nonce", handler=lambda: fail(NonceTooLow("x"))),
            Method(name="unserialisable", handler=lambda: {"a": object()}),
            Method(name="huge", handler=lambda: 2**70),
            Method(name="who", handler=lambda context: context.remote, with_context=True),
            Method(name="heavy", handler=lambda: None, weight=10),
            Method(
                name="double",
                handler=lambda value: hex(value * 2),
                params=number,
                batch_handler=double_all,
            ),
        ],
        limits=RpcLimits(**limits),
        observer=observer,
    )


async def send(document, served=None, **context):
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    answer = await (served or dispatcher()).handle(body, Context(**context))
    return None if answer is None else orjson.loads(answer)


async def error_of(method, *params, served=None, **context):
    answer = await send(call(method, *params), served, **context)
    assert answer["id"] == 1
    assert "result" not in answer
    return answer["error"]["code"], answer["error"]["message"]


@pytest.mark.asyncio
async def test_a_request_is_answered_under_its_id():
    assert await send(call("echo", {"a": 1}, request_id="x")) == {
        "jsonrpc": "2.0",
        "id": "x",
        "result": {"a": 1},
    }


@pytest.mark.asyncio
async def test_an_unknown_method_says_so_exactly():
    assert await error_of("eth_nothing") == (-32601, "the method eth_nothing does not exist/is not available")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "missing value for required argument 0"),
        ([None], "missing value for required argument 0"),
        (["0x1", "0x2", "0x3"], "too many arguments, want at most 2"),
        (["1"], "invalid argument 0: hex string without 0x prefix"),
        (["0x1", "0x02"], "invalid argument 1: hex number with leading zero digits"),
        (["0x1", 2.5], "invalid argument 1: a hex string is expected"),
    ],
)
async def test_wrong_arguments_are_named_by_position(params, message):
    assert await error_of("add", *params) == (-32602, message)


@pytest.mark.asyncio
async def test_a_missing_optional_argument_and_null_are_the_same():
    assert (await send(call("add", "0x1")))["result"] == "0x2"
    assert (await send(call("add", "0x1", None)))["result"] == "0x2"


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["broken", "disk", "unserialisable", "huge"])
async def test_a_fault_of_the_node_is_answered_without_detail(method):
    assert await error_of(method) == (-32603, "internal error")


@pytest.mark.asyncio
async def test_a_users_fault_is_answered_with_its_reason():
    assert await error_of("nonce") == (-32000, "nonce too low: x")


@pytest.mark.asyncio
async def test_notifications_are_carried_out_and_not_answered():
    assert await send({"jsonrpc": "2.0", "method": "echo", "params": [1]}) is None
    assert await send([{"jsonrpc": "2.0", "method": "nothing"}, {"jsonrpc": "2.0", "method": "broken"}]) is None


@pytest.mark.asyncio
async def test_a_batch_is_answered_in_order_with_its_errors_in_place():
    answers = await send(
        [call("echo", 1, request_id=1), 5, call("nothing", request_id=2), {"jsonrpc": "2.0", "method": "echo"}]
    )
    assert [(a["id"], a.get("result"), a.get("error", {}).get("code")) for a in answers] == [
        (1, 1, None),
        (None, None, -32600),
        (2, None, -32601),
    ]


@pytest.mark.asyncio
async def test_neighbours_of_a_batched_method_go_together_and_keep_their_places():
    answers = await send(
        [
            call("double", "0x1", request_id=1),
            call("double", "bad", request_id=2),
            call("double", hex(13), request_id=3),
            {"jsonrpc": "2.0", "method": "double", "params": ["0x5"]},
            call("double", "0x4", request_id=4),
            call("echo", "between", request_id=5),
            call("double", "0x8", request_id=6),
        ]
    )
    assert [(a["id"], a.get("result", a.get("error", {}).get("message"))) for a in answers] == [
        (1, "0x2"),
        (2, "invalid argument 0: hex string without 0x prefix"),
        (3, "nonce too low"),
        (4, "0x8"),
        (5, "between"),
        (6, "0x10"),
    ]


@pytest.mark.asyncio
async def test_a_fault_of_a_batch_handler_answers_every_one_of_its_requests():
    async def broken(_values):
        raise ZeroDivisionError

    served = Dispatcher(
        [Method(name="m", handler=echo, params=(Param(parse_quantity),), batch_handler=broken)], limits=RpcLimits()
    )
    answers = await send([call("m", "0x1"), call("m", "0x2")], served)
    assert [a["error"]["code"] for a in answers] == [-32603, -32603]


@pytest.mark.asyncio
async def test_a_batch_of_raw_transactions_reaches_the_pool_in_one_piece():
    node = FakeNode()
    node.pool.least_nonce = 1
    transactions = [sign_transaction(nonce) for nonce in range(100)]
    answers = await node.send(
        [call("eth_sendRawTransaction", hexed(tx.raw), request_id=tx.nonce) for tx in transactions]
    )
    assert node.pool.batches == [100]
    assert answers[0]["error"] == {"code": -32000, "message": "nonce too low: next nonce 1, tx nonce 0"}
    assert [a["result"] for a in answers[1:]] == [hexed(tx.hash) for tx in transactions[1:]]
    assert [a["id"] for a in answers] == list(range(100))


@pytest.mark.asyncio
async def test_a_slow_request_is_stopped_and_the_limit_named():
    served = dispatcher(handler_timeout_seconds=0)
    assert await error_of("sleep", 5, served=served) == (
        -32002,
        "request timed out after 0 s (rpc.handler_timeout_seconds)",
    )


@pytest.mark.asyncio
async def test_a_batch_handler_out_of_time_answers_each_of_its_requests():
    async def endless(_values):
        await asyncio.sleep(10)

    served = Dispatcher(
        [Method(name="m", handler=echo, params=(Param(parse_quantity),), batch_handler=endless)],
        limits=RpcLimits(batch_timeout_seconds=0),
    )
    answers = await send([call("m", "0x1"), call("m", "0x2"), call("m", "bad")], served)
    assert [a["error"]["code"] for a in answers] == [-32002, -32002, -32602]
    assert [a["error"]["code"] for a in await send([call("m", 1), call("m", 2)], served)] == [-32602] * 2


@pytest.mark.asyncio
async def test_a_batch_out_of_time_answers_the_rest_with_an_error():
    served = dispatcher(batch_timeout_seconds=0)
    answers = await send([call("sleep", 0.01), call("echo", 1)], served)
    assert "rpc.batch_timeout_seconds" in answers[-1]["error"]["message"]


@pytest.mark.asyncio
async def test_a_large_answer_is_replaced_by_an_error():
    served = dispatcher(response_max_bytes=200)
    assert (await send(call("echo", "x" * 100), served))["result"]
    code, message = await error_of("echo", "x" * 200, served=served)
    assert code == -32003
    assert "rpc.response_max_bytes" in message


@pytest.mark.asyncio
async def test_the_answers_of_a_batch_are_bounded_together():
    served = dispatcher(response_max_bytes=400)
    answers = await send([call("echo", "x" * 150) for _ in range(20)], served)
    assert [a.get("error", {}).get("code") for a in answers] == [None] * 3 + [-32003] * 17


@pytest.mark.asyncio
async def test_a_caller_over_its_rate_gets_a_limit_error():
    bucket = Bucket(11)
    served = dispatcher()
    assert (await send(call("heavy"), served, budget=bucket))["result"] is None
    assert (await send(call("echo", 1), served, budget=bucket))["result"] == 1
    code, message = await error_of("echo", 1, served=served, budget=bucket)
    assert code == -32005
    assert "rpc.requests_per_second" in message
    bucket.left = 1
    answers = await send([call("double", "0x1"), call("double", "0x2")], served, budget=bucket)
    assert [a.get("error", {}).get("code") for a in answers] == [None, -32005]


@pytest.mark.asyncio
async def test_requests_are_counted_by_method_and_outcome():
    observer = Log()
    served = dispatcher(observer)
    await send([call("echo", 1), call("nothing"), call("broken"), call("double", "0x1"), call("double", "x")], served)
    assert observer.seen == [
        ("echo", "ok"),
        ("unknown", "-32601"),
        ("broken", "-32603"),
        ("double", "ok"),
        ("double", "-32602"),
    ]


@pytest.mark.asyncio
async def test_a_handler_learns_who_asks():
    assert (await send(call("who"), remote="10.1.1.1"))["result"] == "10.1.1.1"


@pytest.mark.asyncio
async def test_cancelling_is_not_swallowed():
    task = asyncio.ensure_future(send(call("sleep", 10)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


METHODS = FakeNode().dispatcher.method_names
VALID = valid_requests(FakeNode())
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.sampled_from(
        [
            "0x",
            "0x0",
            "0x1",
            "latest",
            "pending",
            "earliest",
            "0x" + "ab" * 20,
            "0x" + "ab" * 32,
            "0x" + "c0" * 20,
            "0xffffffffffffffff",
            "newHeads",
            "logs",
        ]
    )
)
keys = st.sampled_from(
    [
        "from",
        "to",
        "gas",
        "gasPrice",
        "value",
        "data",
        "input",
        "accessList",
        "address",
        "topics",
        "fromBlock",
        "toBlock",
        "blockHash",
        "blockNumber",
        "requireCanonical",
        "storageKeys",
        "balance",
        "code",
        "state",
        "stateDiff",
        "authorizationList",
        "chainId",
        "0x" + "ab" * 20,
        "number",
        "time",
        "baseFeePerGas",
        "nonce",
        "",
    ]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
requests = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "id": st.integers(0, 9) | st.text(max_size=3)},
    optional={"method": st.sampled_from(METHODS) | st.text(max_size=9), "params": st.lists(values, max_size=5)},
)


def is_answer(document):
    assert document["jsonrpc"] == "2.0"
    assert ("result" in document) is not ("error" in document)
    if "error" in document:
        assert isinstance(document["error"]["code"], int)
        assert isinstance(document["error"]["message"], str)
        assert document["error"]["code"] != -32603, document
    return True


def answer_to(node, document):
    body = json.dumps(document).encode()
    return orjson.loads(asyncio.run(node.dispatcher.handle(body, Context(remote="10.0.0.1"))))


@given(st.lists(requests, min_size=1, max_size=6))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up_requests_always_get_an_answer_and_never_an_internal_error(batch):
    assert all(map(is_answer, answer_to(FakeNode(), batch)))


def mutated(draw, value):
    """Return `value` with one place in it replaced or removed."""
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], mutated(draw, value[at]), *value[at + 1 :]]
    if isinstance(value, dict) and value and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(value)))
        changed = dict(value)
        changed[key] = mutated(draw, value[key])
        return changed
    if isinstance(value, str) and draw(st.booleans()):
        at = draw(st.integers(0, len(value)))
        return value[:at] + draw(st.sampled_from(["", "0", "f", "g", "x", "0x", " ", "\x00", "é"])) + value[at + 1 :]
    return draw(values)


@given(st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_valid_requests_with_one_place_changed_never_get_an_internal_error(data):
    node = FakeNode()
    method, params = data.draw(st.sampled_from(VALID))
    document = {"jsonrpc": "2.0", "id": 1, "method": method, "params": mutated(data.draw, params)}
    assert is_answer(answer_to(node, document))


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0x1eE+-.truefalsn\\u', max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_mutated_bytes_always_get_an_error(body):
    answer = asyncio.run(dispatcher().handle(body, Context()))
    document = orjson.loads(answer)
    assert all(map(is_answer, document)) if isinstance(document, list) else is_answer(document)
