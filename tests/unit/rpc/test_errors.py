"""Every exception of the node has one answer."""

import pytest

from cybermiles import errors
from cybermiles.execution.simulate import CallFailed
from cybermiles.rpc.errors import failed_call, revert_reason, to_rpc_error
from cybermiles.rpc.jsonrpc import RpcError
from cybermiles.rpc.ports import ExecutionTimeout, Overloaded, StateUnavailable
from cybermiles.vm.backend import Failure
from tests.fakes.rpc import execution_result, reverted

USER_ERROR = bytes.fromhex(
    "08c379a0"
    "0000000000000000000000000000000000000000000000000000000000000020"
    "000000000000000000000000000000000000000000000000000000000000000a"
    "75736572206572726f7200000000000000000000000000000000000000000000"
)
PANIC = bytes.fromhex("4e487b71") + bytes(31)


def kinds(base):
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


@pytest.mark.parametrize("kind", [errors.InvalidTransaction, *kinds(errors.InvalidTransaction)])
def test_every_invalid_transaction_is_a_server_error_with_a_message(kind):
    for text in ("", "some detail"):
        answer = to_rpc_error(kind(text))
        assert answer.code == -32000
        assert text in answer.message
        assert answer.message


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.NonceTooLow("tx nonce 1"), "nonce too low: tx nonce 1"),
        (errors.NonceTooLow("nonce too low: tx nonce 1"), "nonce too low: tx nonce 1"),
        (errors.NonceTooHigh(""), "nonce too high"),
        (errors.InsufficientFunds("insufficient funds for transfer"), "insufficient funds for transfer"),
        (errors.InsufficientFunds("have 1"), "insufficient funds for gas * price + value: have 1"),
        (errors.AlreadyKnown(""), "already known"),
        (errors.ReplacementUnderpriced("x"), "replacement transaction underpriced: x"),
        (errors.PoolFull("x"), "txpool is full: x"),
        (errors.InvalidSignature("no"), "invalid sender: no"),
        (errors.InvalidSignature("invalid transaction v, r, s values"), "invalid transaction v, r, s values"),
        (errors.WrongChainId("have 1"), "invalid chain id for signer: have 1"),
        (errors.IntrinsicGasTooLow("have 1"), "intrinsic gas too low: have 1"),
        (errors.Underpriced("gas limit 812345 is over"), "gas limit 812345 is over"),
    ],
)
def test_messages_carry_geths_phrases_once(error, message):
    assert to_rpc_error(error).message == message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StateUnavailable("state of block 1 is pruned"), -32000),
        (ExecutionTimeout("execution aborted (timeout = 5s)"), -32000),
        (Overloaded("server busy"), -32005),
        (RpcError(-32602, "x"), -32602),
    ],
)
def test_limits_and_missing_states_have_codes(error, code):
    answer = to_rpc_error(error)
    assert (answer.code, answer.message) == (code, str(error))


@pytest.mark.parametrize(
    "error",
    [errors.StorageError("/path"), errors.InvariantViolation("x"), errors.InvalidBlock("x"), errors.ConfigError("x")],
)
def test_faults_of_the_node_have_no_answer_of_their_own(error):
    assert to_rpc_error(error) is None


def test_a_revert_has_code_3_its_data_and_its_reason():
    answer = failed_call(reverted(USER_ERROR))
    assert (answer.code, answer.message, answer.data) == (
        3,
        "execution reverted: user error",
        "0x" + USER_ERROR.hex(),
    )
    bare = failed_call(reverted())
    assert (bare.code, bare.message, bare.data) == (3, "execution reverted", "0x")


def test_other_failures_are_server_errors_with_the_failures_phrase():
    answer = failed_call(execution_result(failure=Failure.OUT_OF_GAS))
    assert (answer.code, answer.message, answer.data) == (-32000, "out of gas", None)


def test_an_impossible_estimate_reverts_or_names_the_allowance():
    revert = to_rpc_error(CallFailed(reverted(USER_ERROR), 100))
    assert (revert.code, revert.message) == (3, "execution reverted: user error")
    gas = to_rpc_error(CallFailed(execution_result(failure=Failure.OUT_OF_GAS), 100))
    assert (gas.code, gas.message) == (-32000, "gas required exceeds allowance (100)")


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (USER_ERROR, "user error"),
        (PANIC + b"\x01", "assert(false)"),
        (PANIC + b"\x11", "arithmetic underflow or overflow"),
        (PANIC + b"\x32", "out-of-bounds access of an array or bytesN"),
        (PANIC + b"\x99", "unknown panic code: 0x99"),
        (PANIC, None),
        (b"", None),
        (b"wrong-calldatasize", None),
        (USER_ERROR[:67], None),
        (USER_ERROR[:4] + b"\xff" * 64, None),
        (USER_ERROR[:4] + bytes(31) + b"\x20" + b"\xff" * 32, None),
        (USER_ERROR[:4] + bytes(31) + b"\x20" + bytes(31) + b"\x01" + b"\xff" + bytes(31), "\ufffd"),
    ],
)
def test_only_whole_solidity_errors_have_a_reason(output, reason):
    assert revert_reason(output) == reason
