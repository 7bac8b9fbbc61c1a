"""Imagined blocks: with validation they are blocks that the real transition accepts, root by root."""

from __future__ import annotations

import pytest

from cybermiles.conformance.blocks import Withdrawal
from cybermiles.conformance.chain import load_chain
from cybermiles.conformance.imagined import Imagination, ImaginedPlan
from cybermiles.conformance.transition import Ancestry, execute_block
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.imagined import ImaginedCall
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction import DYNAMIC_FEE, LEGACY
from cybermiles.vm.pyevm.backend import contract_address
from tests.fakes.foreign import COINBASE, DIE, FAIL, RECIPIENT, SENDER, init_code, word

SENDER_TEXT, RECIPIENT_TEXT = "0x" + SENDER.hex(), "0x" + RECIPIENT.hex()
ACCOUNT = "0x" + "a1" * 20
ETHER = 10**18
TRANSFER = "0x" + keccak256(b"Transfer(address,address,uint256)").hex()


def imagined_call(**fields):
    defaults = {
        "sender": SENDER, "to": RECIPIENT, "type": DYNAMIC_FEE, "gas": 200_000, "nonce": None, "value": 0, "data": b"",
        "fee_cap": 10 * GWEI, "tip": 7, "access_list": (),
    }  # fmt: skip
    return ImaginedCall(**(defaults | fields))


@pytest.mark.parametrize("height", [26, 28], ids=["cancun", "prague"])
def test_a_validated_block_is_one_that_the_transition_accepts(mined, height):
    chain = load_chain(*mined[:2])
    base = chain.foreign(height).header
    store = contract_address(SENDER, 0)
    calls = (
        imagined_call(value=5),
        imagined_call(to=store, data=word(9, 9), access_list=((store, (9,)),)),
        imagined_call(to=store, data=word(9, 0), type=LEGACY, fee_cap=GWEI, tip=GWEI),
        imagined_call(to=None, data=init_code(DIE), value=3),
        imagined_call(to=None, data=init_code(FAIL), gas=100_000),
        imagined_call(to=None, data=bytes.fromhex("33ff"), value=7),
        imagined_call(to=None, data=bytes.fromhex("60006000fd")),
    )
    withdrawals = (Withdrawal(1, 2, RECIPIENT, 11),)
    plan = ImaginedPlan(calls=calls, withdrawals=withdrawals, coinbase=COINBASE, prev_randao=b"\x05" * 32)
    imagination = Imagination(chain, base, gas=50_000_000, validate=True, transfers=False)
    done = imagination.add(plan, height + 1, base.timestamp + 1)
    ancestry = Ancestry(base, chain.state(height), chain.trie_nodes(height), chain._hash_at)
    executed = execute_block(chain.constants.backend, chain.schedule, done.block, ancestry)
    assert executed.outcomes == done.outcomes
    assert [outcome.failure for outcome in executed.outcomes][-1] == "execution reverted"
    assert executed.update.root == done.block.header.state_root != base.state_root


def simulate(ask, *blocks, reference="latest", **options):
    return ask("eth_simulateV1", {"blockStateCalls": list(blocks)} | options, reference)


def test_state_goes_from_call_to_call_and_block_to_block(ask):
    funded = {"stateOverrides": {ACCOUNT: {"balance": hex(ETHER)}}}
    send = {"from": ACCOUNT, "to": RECIPIENT_TEXT, "value": hex(ETHER // 2)}
    blocks, error = simulate(ask, funded | {"calls": [send]}, {"calls": [send, {"to": RECIPIENT_TEXT}]})
    assert error is None
    assert [len(block["calls"]) for block in blocks] == [1, 2]
    assert [call["status"] for block in blocks for call in block["calls"]] == ["0x1"] * 3
    assert blocks[1]["parentHash"] == blocks[0]["hash"]
    assert [int(block["number"], 16) for block in blocks] == [29, 30]
    assert blocks[0]["baseFeePerGas"] == "0x0"
    _, error = simulate(ask, funded | {"calls": [send, send, send]})
    assert error["code"] == -38014


def test_gaps_are_filled_and_disorder_is_refused(ask):
    blocks, _ = simulate(ask, {"blockOverrides": {"number": hex(31)}}, {})
    assert [int(block["number"], 16) for block in blocks] == [29, 30, 31, 32]
    assert [block["calls"] for block in blocks] == [[], [], [], []]
    assert simulate(ask, {"blockOverrides": {"number": "0x1"}})[1]["code"] == -38020
    assert simulate(ask, {"blockOverrides": {"time": "0x1"}})[1]["code"] == -38021
    assert simulate(ask, {"blockOverrides": {"number": hex(28 + 257)}})[1]["code"] == -38026
    assert simulate(ask)[1]["code"] == -32602


def test_failures_and_reverts_have_their_codes(ask):
    code = {"stateOverrides": {ACCOUNT: {"code": "0x60aa60005260206000fd"}, RECIPIENT_TEXT: {"code": "0xfe"}}}
    calls = {"calls": [{"to": ACCOUNT}, {"to": RECIPIENT_TEXT, "gas": "0xffff"}]}
    (block,), _ = simulate(ask, code | calls)
    reverted, failed = block["calls"]
    assert reverted["error"]["data"] == reverted["returnData"] == "0x" + (0xAA).to_bytes(32).hex()
    assert (reverted["status"], reverted["error"]["code"]) == ("0x0", -32000)
    assert failed["error"] == {"code": -32015, "message": "invalid opcode"}


def test_validation_checks_what_a_block_would(ask):
    call = {"from": SENDER_TEXT, "to": RECIPIENT_TEXT}
    assert simulate(ask, {"calls": [call]}, validation=True)[1]["code"] == -32602, "nothing offered for gas"
    priced = call | {"maxFeePerGas": hex(10 * GWEI), "gas": "0x5208"}
    (block,), _ = simulate(ask, {"calls": [priced]}, validation=True)
    assert int(block["baseFeePerGas"], 16) > 0
    assert simulate(ask, {"calls": [priced | {"nonce": "0x1"}]}, validation=True)[1]["code"] == -38010
    assert simulate(ask, {"calls": [priced | {"nonce": "0xffff"}]}, validation=True)[1]["code"] == -38011
    assert simulate(ask, {"calls": [priced | {"gas": "0x5207"}]}, validation=True)[1]["code"] == -38013
    assert simulate(ask, {"calls": [priced | {"nonce": "0x1"}]})[1] is None


def test_moved_coins_are_reported_as_logs(ask):
    sends = {"from": SENDER_TEXT, "to": RECIPIENT_TEXT, "value": "0x9"}
    (block,), _ = simulate(ask, {"calls": [sends, sends]}, traceTransfers=True)
    (log,) = block["calls"][1]["logs"]
    assert (log["address"], log["topics"][0], log["logIndex"]) == ("0x" + "ee" * 20, TRANSFER, "0x1")
    assert int(log["data"], 16) == 9
    assert int(block["logsBloom"], 16) == 0


def test_full_transactions_name_their_senders(ask):
    (block,), _ = simulate(ask, {"calls": [{"from": ACCOUNT, "to": RECIPIENT_TEXT}]}, returnFullTransactions=True)
    (transaction,) = block["transactions"]
    assert (transaction["from"], transaction["v"], transaction["type"]) == (ACCOUNT, "0x0", "0x2")
    assert transaction["blockHash"] == block["hash"]


def test_block_overrides_are_what_code_finds(ask):
    looks = "0x46600052436020524260405244606052456080524160a0524860c05260e06000f3"
    overrides = {
        "number": hex(40), "time": hex(9_999), "gasLimit": hex(3_000_000), "feeRecipient": ACCOUNT,
        "prevRandao": "0x" + "07" * 32, "baseFeePerGas": "0x3",
    }  # fmt: skip
    blocks, error = simulate(ask, {"blockOverrides": overrides, "calls": [{"input": looks}]})
    assert error is None
    block = blocks[-1]
    # an initcode's output is what becomes the code: read it back as returned data
    words = bytes.fromhex(block["calls"][0]["returnData"][2:])
    found = [int.from_bytes(words[at : at + 32]) for at in range(0, len(words), 32)]
    assert found == [1, 40, 9_999, int("07" * 32, 16), 3_000_000, int(ACCOUNT, 16), 3]


def test_ancestors_of_imagined_blocks_have_hashes(ask):
    code = {"stateOverrides": {ACCOUNT: {"code": "0x600143034060005260206000f3"}}}
    blocks, _ = simulate(ask, code | {"calls": [{"to": ACCOUNT}]}, {"calls": [{"to": ACCOUNT}]})
    head, _ = ask("eth_getBlockByNumber", "latest", False)
    assert blocks[0]["calls"][0]["returnData"] == head["hash"]
    assert blocks[1]["calls"][0]["returnData"] == blocks[0]["hash"]
