"""`cmt tx` and `cmt contract` against a node of canned answers: what is signed, shown and refused."""

from __future__ import annotations

import json

import eth_abi
import pytest
from click.testing import CliRunner

from cybermiles.cli.main import main
from cybermiles.types.primitives import Address
from cybermiles.types.transaction_codec import UnsignedTransaction, decode_transaction
from tests.fakes.rpc_server import CHAIN_ID, FakeRpc, Reverts, serving
from tests.unit.rpc.verification.samples import DOCUMENT

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
ALICE_KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
BOB = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
HASH = "0x" + "ab" * 32
CMT = 10**18
GWEI = 10**9
TRANSFER = bytes.fromhex("a9059cbb")


class Node(FakeRpc):
    """Answers calls by calldata alone, and creates contracts."""

    def __init__(self):
        super().__init__()
        self.output = b""
        self.code = "0x60"

    def eth_call(self, message, block):
        self.calls.append((message, block))
        if isinstance(self.output, Reverts):
            raise self.output
        return "0x" + self.output.hex()

    def eth_getCode(self, _address, _block):  # noqa: N802
        return self.code

    def eth_getTransactionReceipt(self, hash_):  # noqa: N802
        if hash_ == HASH:
            return {"contractAddress": None}
        created = {"contractAddress": BOB.lower()} if self.sent[-1].to is None else {}
        return super().eth_getTransactionReceipt(hash_) | created


@pytest.fixture(scope="module")
def server():
    node = Node()
    with serving(node) as url:
        node.url = url
        yield node


@pytest.fixture
def node(server):
    server.__init__()
    return server


@pytest.fixture
def cmt(node, tmp_path):
    def run(*arguments, signs=False):
        more = ["--rpc", node.url, *(["--home", str(tmp_path), "--from", ALICE] if signs else [])]
        result = CliRunner().invoke(main, [*map(str, arguments), *more], env={"CMT_HOME": None, "CMT_RPC": None})
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.stdout, result.stderr

    return run


@pytest.mark.parametrize(
    ("arguments", "to", "value", "data"),
    [
        (("--to", BOB, "--value", "1.5"), BOB, 15 * CMT // 10, b""),
        (("--to", BOB, "--value", "7wei", "--data", "0x0102"), BOB, 7, b"\x01\x02"),
        (
            ("--to", BOB, "--call", "transfer(address,uint256)", ALICE, "5"),
            BOB,
            0,
            TRANSFER + eth_abi.encode(["address", "uint256"], [ALICE, 5]),
        ),
        (("--data", "0x6000"), None, 0, b"\x60\x00"),
    ],
)
def test_what_is_signed_with_a_devnets_key(cmt, node, arguments, to, value, data):
    code, out, err = cmt("tx", "send", *arguments, signs=True)
    assert (code, err) == (0, "")
    [sent] = node.sent
    assert sent.sender.hex() == ALICE[2:].lower()
    assert (sent.to, sent.value, sent.data) == (None if to is None else bytes.fromhex(to[2:]), value, data)
    assert (sent.chain_id, sent.nonce, sent.max_fee_per_gas, sent.gas_limit) == (CHAIN_ID, 4, 0, 187_500)
    assert ("created a contract at" in out) == (to is None)


def test_gas_price_and_nonce_can_be_chosen(cmt, node):
    assert cmt("tx", "send", "--to", BOB, "--price", "2.5", "--nonce", 9, "--gas", 30_000, signs=True)[0] == 0
    [sent] = node.sent
    assert (sent.max_fee_per_gas, sent.nonce, sent.gas_limit) == (25 * GWEI // 10, 9, 30_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--to"),
        (("--to", BOB, "5"), "--call"),
        (("--to", BOB, "--call", "f()", "--data", "0x"), "leave --data out"),
        (("--to", "0x12"), "40 hex digits"),
        (("--to", BOB, "--value", "-1"), "--value"),
        (("--to", BOB, "--value", "1usd"), "--value"),
        (("--to", BOB, "--data", "0xz"), "hex digits"),
    ],
)
def test_wrong_usage(cmt, node, arguments, message):
    code, _, err = cmt("tx", "send", *arguments, signs=True)
    assert (code, node.sent) == (2, [])
    assert message in err


def test_a_call_that_would_fail_is_refused_before_it_is_signed(cmt, node):
    node.estimate = Reverts(bytes.fromhex("08c379a0") + eth_abi.encode(["string"], ["paused"]))
    code, _, err = cmt("tx", "send", "--to", BOB, "--call", "go()", signs=True)
    assert (code, err, node.sent) == (1, "Error: paused\n", [])


def signed(**changes):
    values = {
        "chain_id": CHAIN_ID,
        "nonce": 3,
        "max_fee_per_gas": 0,
        "max_priority_fee_per_gas": 0,
        "gas_limit": 21_000,
        "to": Address(bytes.fromhex(BOB[2:])),
        "value": CMT,
    }
    return UnsignedTransaction(**values | changes).sign(ALICE_KEY)


@pytest.mark.parametrize(
    ("changes", "lane", "reason"),
    [
        ({}, "free", "slots a block"),
        ({"gas_limit": 600_000, "max_fee_per_gas": 2 * GWEI, "max_priority_fee_per_gas": 2 * GWEI}, "paid", "2 gwei"),
        ({"gas_limit": 600_000}, None, "set a gas price of at least 2 gwei"),
    ],
)
def test_decode_says_every_field_and_the_lane(cmt, changes, lane, reason):
    transaction = signed(**changes)
    code, out, _ = cmt("tx", "decode", "0x" + transaction.raw.hex(), "--json")
    data = json.loads(out)
    assert code == 0
    assert (data["from"], data["to"], data["value"], data["nonce"]) == (ALICE, BOB, str(CMT), 3)
    assert (data["hash"], data["typeName"], data["chainId"]) == ("0x" + transaction.hash.hex(), "dynamic fee", CHAIN_ID)
    assert data["lane"] == lane
    assert reason in data["laneReason"]
    assert reason in cmt("tx", "decode", transaction.raw.hex())[1]


def test_decode_needs_no_node():
    arguments = ["tx", "decode", "0x" + signed().raw.hex(), "--json", "--rpc", "http://127.0.0.1:1"]
    data = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert (data["lane"], data["parametersOf"]) == ("free", "the standard chain")


@pytest.mark.parametrize("raw", ["0x", "0x03", "0x02c0", "0xdeadbeef"])
def test_bytes_that_are_no_transaction(cmt, raw):
    code, _, err = cmt("tx", "decode", raw)
    assert code == 1
    assert "not a transaction" in err


@pytest.mark.parametrize(
    ("output", "more", "reason"),
    [
        ("08c379a0" + eth_abi.encode(["string"], ["no money"]).hex(), (), "no money"),
        ("4e487b71" + (0x11).to_bytes(32).hex(), (), "arithmetic underflow or overflow"),
        ("", (), "without a reason"),
        ("12345678", (), "the contract's own error 0x12345678"),
        ("CLOSED", ("--abi", "FILE"), "Closed(until 17)"),
    ],
)
def test_status_says_why_it_failed(cmt, node, tmp_path, output, more, reason):
    from cybermiles.crypto.hashing import keccak256

    output = output.replace("CLOSED", keccak256(b"Closed(uint256)")[:4].hex() + (17).to_bytes(32).hex())
    abi = tmp_path / "vault.abi"
    abi.write_text(json.dumps(DOCUMENT["contracts"]["Vault"]["abi"]))
    node.failure = {
        "status": "included",
        "blockNumber": "0xa",
        "succeeded": False,
        "failure": "execution reverted",
        "output": "0x" + output,
        "lane": "free",
        "gasUsed": "0x5208",
        "effectiveGasPrice": "0x0",
        "computeUnits": "0x1",
    }
    more = [str(abi) if each == "FILE" else each for each in more]
    code, out, _ = cmt("tx", "status", HASH, *more)
    assert code == 0
    assert "included in block 10\nlane free, gas 21000, fee 0 CMT" in out
    assert reason in out.splitlines()[-1]
    assert reason in json.loads(cmt("tx", "status", HASH, "--json", *more)[1])["explanation"]


@pytest.mark.parametrize(
    ("arguments", "output", "expected"),
    [
        (("balanceOf(address) returns (uint256)", ALICE), (5).to_bytes(32), ["5"]),
        (("pair()(uint8,string)",), eth_abi.encode(["uint8", "string"], [5, "x"]), [5, "x"]),
        (("go()",), b"\x01", []),
        (("quote", "1000", "--abi", "FILE"), (997).to_bytes(32), ["997"]),
        (("quote(uint256)", "1000", "--abi", "FILE"), (997).to_bytes(32), ["997"]),
    ],
)
def test_a_call_answers_by_types(cmt, node, tmp_path, arguments, output, expected):
    abi = tmp_path / "vault.abi"
    abi.write_text(json.dumps(DOCUMENT["contracts"]["Vault"]["abi"]))
    node.output = output
    arguments = [str(abi) if each == "FILE" else each for each in arguments]
    code, out, err = cmt("contract", "call", BOB, *arguments, "--from", ALICE, "--block", "7", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"results": expected, "output": "0x" + output.hex()}
    [(message, block)] = node.calls
    assert (message["to"], message["from"], block) == (BOB.lower(), ALICE.lower(), "0x7")


@pytest.mark.parametrize(
    ("arguments", "output", "message"),
    [
        (("f() returns (uint256)",), b"", "has no code"),
        (("f() returns (uint256)",), b"\x01", "is not (uint256)"),
        (("f()",), Reverts(bytes.fromhex("4e487b71") + (0x12).to_bytes(32)), "division or modulo by zero"),
        (("nothing", "--abi", "FILE"), b"", "it has: close, fee, name, owner, quote"),
    ],
)
def test_a_call_that_cannot_be_answered_says_why(cmt, node, tmp_path, arguments, output, message):
    abi = tmp_path / "vault.abi"
    abi.write_text(json.dumps(DOCUMENT["contracts"]["Vault"]["abi"]))
    node.output, node.code = output, "0x"
    arguments = [str(abi) if each == "FILE" else each for each in arguments]
    code, _, err = cmt("contract", "call", BOB, *arguments)
    assert code == 1
    assert message in err


def test_deploying_sends_code_and_typed_arguments(cmt, node, tmp_path):
    from tests.unit.rpc.verification.samples import ARGUMENTS, compiled

    path = tmp_path / "Vault.json"
    found = DOCUMENT["contracts"]["Vault"]
    artifact = {"contractName": "Vault", "abi": found["abi"], "bytecode": "0x" + found["evm"]["bytecode"]["object"]}
    path.write_text(json.dumps(artifact))
    code, out, err = cmt("contract", "deploy", path, "2500", "vault", signs=True)
    assert (code, err) == (0, "")
    assert node.sent[0].data == compiled().creation + ARGUMENTS
    assert f"Vault is deployed at {BOB}" in out
    code, out, _ = cmt("contract", "deploy", path, "2500", "vault", "--json", signs=True)
    assert json.loads(out)["contract"] == BOB


def test_a_transaction_can_be_decoded_again():
    transaction = signed(to=None, data=b"\x60")
    assert decode_transaction(transaction.raw).sender == transaction.sender
