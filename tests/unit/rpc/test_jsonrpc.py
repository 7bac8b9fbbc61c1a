"""The envelope: what is refused, with which code, and that nesting is measured right."""

import pickle

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.rpc.config import RpcLimits
from cybermiles.rpc.jsonrpc import (
    RawJson,
    Rejected,
    Request,
    RpcError,
    decode,
    encode_error,
    encode_notification,
    encode_result,
    is_shallow,
    join_batch,
    unknown_method,
)

LIMITS = RpcLimits(body_max_bytes=1000, json_max_depth=8, json_max_containers=200, batch_max_items=3)
CALL = {"jsonrpc": "2.0", "id": 1, "method": "m"}


def decoded(document):
    return decode(orjson.dumps(document), LIMITS)


def test_a_request_keeps_its_id_method_and_params():
    message = decoded(CALL | {"id": "a", "params": [1, None, "x"]})
    assert message == ([Request("a", "m", [1, None, "x"], False)], False)


def test_missing_params_are_none_and_null_params_too():
    assert decoded(CALL).items[0].params == []
    assert decoded(CALL | {"params": None}).items[0].params == []


def test_a_request_without_id_is_a_notification_but_one_with_null_is_not():
    assert decoded({"jsonrpc": "2.0", "method": "m"}).items[0].is_notification
    assert not decoded(CALL | {"id": None}).items[0].is_notification


@pytest.mark.parametrize(
    ("item", "code", "request_id"),
    [
        (1, -32600, None),
        ("m", -32600, None),
        ([], -32600, None),
        ({}, -32600, None),
        ({"jsonrpc": "2.0", "id": 7}, -32600, 7),
        ({"id": 7, "method": "m"}, -32600, 7),
        ({"jsonrpc": "1.0", "id": 7, "method": "m"}, -32600, 7),
        ({"jsonrpc": 2.0, "id": 7, "method": "m"}, -32600, 7),
        ({"jsonrpc": "2.0", "id": 7, "method": 1}, -32600, 7),
        (CALL | {"id": 1.5}, -32600, None),
        (CALL | {"id": True}, -32600, None),
        (CALL | {"id": []}, -32600, None),
        (CALL | {"id": {}}, -32600, None),
        (CALL | {"params": {}}, -32602, 1),
        (CALL | {"params": "0x"}, -32602, 1),
    ],
)
def test_an_item_that_is_no_request_is_refused_with_its_id_where_that_is_one(item, code, request_id):
    rejected = decoded([item]).items[0]
    assert isinstance(rejected, Rejected)
    assert (rejected.error.code, rejected.id) == (code, request_id)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"nonsense", -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":[NaN]}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"m","params":[1e999]}', -32700),
        (b'{"jsonrpc":"2.0","id":"\xff","method":"m"}', -32700),
        (b'{"jsonrpc":"2.0","id":"\\ud800","method":"m"}', -32700),
        (b"[]", -32600),
        (b"[1,2,3,4]", -32600),
        (b'"' + b"x" * 1000 + b'"', -32600),
        (b"[" * 9 + b"]" * 9, -32700),
    ],
)
def test_a_body_that_is_refused_as_a_whole(body, code):
    with pytest.raises(RpcError) as caught:
        decode(body, LIMITS)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b" " * 1001, "rpc.body_max_bytes"),
        (b"[" * 9 + b"]" * 9, "rpc.json_max_depth"),
        (b"[1,2,3,4]", "rpc.batch_max_items"),
        (b"[" + b"{}," * 200 + b"{}]", "rpc.json_max_containers"),
    ],
)
def test_a_limit_names_its_configuration_key(body, key):
    with pytest.raises(RpcError, match=key):
        decode(body, LIMITS)


def test_integers_over_64_bits_are_no_ids():
    assert isinstance(decode(b'{"jsonrpc":"2.0","id":18446744073709551616,"method":"m"}', LIMITS).items[0], Rejected)


def naive_depth(document):
    if isinstance(document, dict):
        return 1 + max(map(naive_depth, document.values()), default=0)
    if isinstance(document, list):
        return 1 + max(map(naive_depth, document), default=0)
    return 0


texts = st.text(alphabet='[]{}"\\ab', max_size=8)
documents = st.recursive(
    st.none() | st.integers(-5, 5) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=30,
)


@given(documents)
@settings(max_examples=200, deadline=None)
def test_depth_is_measured_outside_of_strings_and_exactly(document):
    body = orjson.dumps([document] * 40)
    depth = naive_depth(document) + 1
    assert is_shallow(body, depth)
    assert not is_shallow(body, depth - 1)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 99_000 + b"]" * 99_000,
        b"[" * 198_000,
        b"]" * 100 + b"[" * 100,
        b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
        b'["\\\\"' + b',["\\\\"' * 70 + b"]" * 71,
    ],
)
def test_deep_or_unbalanced_bodies_are_refused_before_parsing(body):
    assert not is_shallow(body, 64)


def test_brackets_inside_of_strings_do_not_count():
    assert is_shallow(orjson.dumps({"a": '["\\' * 5000, "[[[": ["{" * 100] * 100}), 3)


def test_answers_are_json():
    error = RpcError(3, 'a "quoted" reason', "0x00")
    assert orjson.loads(encode_result("é", {"a": [None, True]})) == {
        "jsonrpc": "2.0",
        "id": "é",
        "result": {"a": [None, True]},
    }
    assert orjson.loads(encode_error(None, error)) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": 3, "message": 'a "quoted" reason', "data": "0x00"},
    }
    assert orjson.loads(encode_notification("0x1", b'{"a":1}')) == {
        "jsonrpc": "2.0",
        "method": "eth_subscription",
        "params": {"subscription": "0x1", "result": {"a": 1}},
    }
    assert orjson.loads(join_batch([b"1", b"2"])) == [1, 2]


def test_an_unknown_method_is_worded_as_clients_look_for_it():
    error = unknown_method("eth_nothing")
    assert (error.code, str(error)) == (-32601, "the method eth_nothing does not exist/is not available")
    assert len(str(unknown_method("x" * 10_000))) < 200


def test_a_result_that_is_json_already_is_embedded_as_it_is():
    raw = RawJson(b'{"a":[1,2]}')
    assert encode_result(7, raw) == b'{"jsonrpc":"2.0","id":7,"result":{"a":[1,2]}}'
    assert encode_result(7, ["0x1", raw]) == b'{"jsonrpc":"2.0","id":7,"result":["0x1",{"a":[1,2]}]}'
    assert pickle.loads(pickle.dumps(raw)).data == raw.data


def test_a_result_of_no_json_type_is_a_bug_and_not_an_answer():
    with pytest.raises(TypeError):
        encode_result(7, [object()])
