"""JSON of transactions, blocks and receipts, against web3's own idea of them where it has one."""

import pytest
from eth_account import Account
from eth_account.typed_transactions import TypedTransaction

from cybermiles.chain.fees import Lane
from cybermiles.rpc.serializers import Contents, Place, Serializer, header_fields
from cybermiles.types.primitives import GWEI
from cybermiles.types.transaction import Transaction
from tests.fakes.rpc import (
    CHAIN_ID,
    CONTRACT,
    KEY,
    SENDER,
    TOPIC,
    authorization,
    hexed,
    log,
    outcome,
    populated_chain,
    sign_transaction,
)

CHAIN = populated_chain()
LEGACY = sign_transaction(3, type=0, max_fee_per_gas=5, max_priority_fee_per_gas=5)


def included(transaction, result=None, **options):
    header = CHAIN.headers[1]
    return Serializer(**options).included(transaction, result or outcome(transaction), Place(header, 4))


def test_a_legacy_transaction_shows_its_eip155_v():
    shown = included(LEGACY)
    expected = Account.sign_transaction(
        {"nonce": 3, "gasPrice": 5, "gas": 21_000, "to": LEGACY.to, "value": 1, "chainId": CHAIN_ID}, KEY
    )
    assert (int(shown["v"], 16), int(shown["r"], 16), int(shown["s"], 16)) == (expected.v, expected.r, expected.s)
    assert shown["hash"] == hexed(expected.hash)
    assert "yParity" not in shown
    assert "accessList" not in shown


def test_an_unprotected_transaction_shows_27_or_28_and_no_chain_id():
    shown = included(sign_transaction(type=0, chain_id=None))
    assert shown["v"] in ("0x1b", "0x1c")
    assert "chainId" not in shown


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"type": 1, "access_list": ((CONTRACT, (0, 7)),)}, {"accessList"}),
        ({"type": 2}, {"accessList", "maxFeePerGas", "maxPriorityFeePerGas"}),
        (
            {"type": 4, "authorizations": (authorization(),)},
            {"accessList", "maxFeePerGas", "maxPriorityFeePerGas", "authorizationList"},
        ),
    ],
)
def test_a_typed_transaction_shows_the_fields_of_its_type(fields, names):
    transaction = sign_transaction(2, max_fee_per_gas=9, max_priority_fee_per_gas=9, **fields)
    shown = included(transaction)
    everywhere = {"type", "hash", "from", "to", "nonce", "gas", "gasPrice", "value", "input", "chainId"}
    signature = {"v", "r", "s", "yParity"}
    place = {"blockHash", "blockNumber", "blockTimestamp", "transactionIndex"}
    assert set(shown) == everywhere | signature | place | names
    assert shown["v"] == shown["yParity"] == hex(transaction.y_parity)
    assert shown["from"] == hexed(SENDER)
    assert shown["transactionIndex"] == "0x4"


def test_a_set_code_transaction_as_shown_is_the_one_that_was_signed():
    transaction = sign_transaction(type=4, authorizations=(authorization(3),))
    shown = included(transaction)
    keep = {"nonce", "gas", "to", "value", "chainId", "accessList", "maxFeePerGas", "maxPriorityFeePerGas", "type"}
    rebuilt = {key: value for key, value in shown.items() if key in keep}
    rebuilt |= {"to": transaction.to, "data": shown["input"], "authorizationList": shown["authorizationList"]}
    rebuilt |= {"v": shown["v"], "r": shown["r"], "s": shown["s"]}
    assert bytes(TypedTransaction.from_dict(rebuilt).hash()) == transaction.signing_hash


def test_a_blob_transaction_shows_its_hashes_for_networks_that_have_them():
    transaction = Transaction(
        **{name: getattr(LEGACY, name) for name in ("nonce", "gas_limit", "to", "value", "data", "y_parity", "r", "s")},
        type=3,
        chain_id=1,
        max_priority_fee_per_gas=1,
        max_fee_per_gas=2,
        raw=b"\3",
        max_fee_per_blob_gas=9,
        blob_versioned_hashes=(b"\1" * 32,),
        sender=SENDER,
    )
    shown = Serializer().pooled(transaction)
    assert (shown["type"], shown["maxFeePerBlobGas"], shown["maxFeePerGas"]) == ("0x3", "0x9", "0x2")
    assert shown["blobVersionedHashes"] == ["0x" + "01" * 32]


def test_the_price_of_an_included_dynamic_fee_transaction_is_what_was_charged():
    dynamic = sign_transaction(max_fee_per_gas=3 * GWEI, max_priority_fee_per_gas=2 * GWEI)
    assert included(dynamic)["gasPrice"] == "0x0"
    paid = outcome(dynamic, lane=Lane.PAID, price=2 * GWEI)
    assert included(dynamic, paid)["gasPrice"] == hex(2 * GWEI)
    assert included(LEGACY)["gasPrice"] == "0x5"
    assert Serializer().pooled(dynamic)["gasPrice"] == hex(3 * GWEI)


def test_a_pooled_transaction_is_in_no_block():
    shown = Serializer().pooled(LEGACY)
    assert [shown[name] for name in ("blockHash", "blockNumber", "transactionIndex")] == [None] * 3
    assert "blockTimestamp" not in shown


def test_a_header_shows_every_field_of_prague_and_a_base_fee_of_zero():
    header = CHAIN.headers[2]
    shown = header_fields(header)
    assert shown["baseFeePerGas"] == shown["difficulty"] == shown["blobGasUsed"] == shown["excessBlobGas"] == "0x0"
    assert shown["hash"] == hexed(header.hash)
    assert shown["nonce"] == "0x0000000000000000"
    assert shown["extraData"] == "0x" + "ee" * 32
    assert len(shown) == 22
    assert "totalDifficulty" not in shown


def test_a_block_lists_its_transactions_as_given():
    block = CHAIN.blocks[2]
    contents = Contents(block.header, block.transactions)
    hashes = list(Serializer().hashes(contents))
    assert hashes == [hexed(tx.hash) for tx in block.transactions]
    full = list(Serializer().transactions(contents, CHAIN.outcomes(2)))
    assert [(tx["hash"], tx["transactionIndex"]) for tx in full] == list(zip(hashes, ("0x0", "0x1"), strict=True))
    shown = Serializer().block(block.header, hashes, size=1000)
    assert shown == header_fields(block.header) | {
        "size": "0x3e8",
        "transactions": hashes,
        "uncles": [],
        "withdrawals": [],
    }


def test_log_indices_count_through_the_block_and_both_receipt_paths_agree():
    block = CHAIN.blocks[2]
    contents, outcomes = Contents(block.header, block.transactions), CHAIN.outcomes(2)
    receipts = list(Serializer().receipts(contents, outcomes))
    assert [[entry["logIndex"] for entry in receipt["logs"]] for receipt in receipts] == [["0x0", "0x1"], ["0x2"]]
    alone = [
        Serializer().receipt(block.transactions[at], CHAIN.outcome(2, at), Place(block.header, at)) for at in range(2)
    ]
    assert alone == receipts


def test_a_receipt_names_the_lane_and_what_was_charged():
    block = CHAIN.blocks[4]
    contents, outcomes = Contents(block.header, block.transactions), CHAIN.outcomes(4)
    creation, failed = Serializer().receipts(contents, outcomes)
    assert (creation["status"], creation["to"], creation["contractAddress"]) == ("0x1", None, hexed(CONTRACT))
    assert (creation["cmtLane"], creation["effectiveGasPrice"]) == ("sponsored", "0x0")
    assert (failed["status"], failed["cmtLane"], failed["type"], failed["contractAddress"]) == (
        "0x0",
        "free",
        "0x4",
        None,
    )
    assert (failed["cumulativeGasUsed"], failed["gasUsed"]) == (hex(81_000), hex(21_000))
    assert "cmtLane" not in next(Serializer(receipt_lane=False).receipts(contents, outcomes))


def test_a_log_repeats_its_place():
    header = CHAIN.headers[1]
    (shown,) = Serializer().logs(header, LEGACY.hash, 7, [(9, log(TOPIC))])
    assert shown == {
        "address": hexed(CONTRACT),
        "topics": [hexed(TOPIC)],
        "data": "0x0102",
        "blockNumber": "0x1",
        "blockHash": hexed(header.hash),
        "blockTimestamp": hex(header.timestamp),
        "transactionHash": hexed(LEGACY.hash),
        "transactionIndex": "0x7",
        "logIndex": "0x9",
        "removed": False,
    }


def test_timestamps_may_be_left_out_as_older_clients_do():
    options = {"block_timestamps": False}
    assert "blockTimestamp" not in included(LEGACY, **options)
    assert "blockTimestamp" not in Serializer(**options).logs(CHAIN.headers[1], LEGACY.hash, 0, [(0, log())])[0]


def test_another_networks_header_may_add_and_replace_fields():
    style = Serializer(header=lambda header: {"number": hex(header.height), "withdrawals": ["w"]})
    shown = style.block(CHAIN.headers[1], [], size=1)
    assert shown == {"number": "0x1", "uncles": [], "withdrawals": ["w"], "size": "0x1", "transactions": []}
