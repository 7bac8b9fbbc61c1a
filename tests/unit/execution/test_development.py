"""A chain for development takes unsigned transactions and edits; every other chain refuses both, wherever they come in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cybermiles.chain.genesis import parse_genesis
from cybermiles.chain.networks import network_genesis
from cybermiles.chain.predeploys import DEV, FEES, HISTORY_CONTRACT, STAKING
from cybermiles.chain.writing import format_genesis
from cybermiles.errors import ConfigError, InvalidBlock, InvalidSignature
from cybermiles.execution.validation import check_block
from cybermiles.mempool.admission import Admission
from cybermiles.system.dev import SET_BALANCE, SET_CODE, SET_NONCE, SET_STORAGE, edit_calldata
from cybermiles.types.primitives import Address
from cybermiles.types.transaction_codec import UnsignedTransaction, decode_transaction
from cybermiles.vm.rules import ChainRules, Fork
from tests.factories import ADDRESSES, DEVNET_ID, KEYS, MemoryChain, genesis_document, sign

SOMEBODY = Address(b"\xab" * 20)


def claimed(sender, *, to=ADDRESSES[1], nonce=0, gas=21_000, value=0, data=b"", price=0):
    draft = UnsignedTransaction(
        chain_id=DEVNET_ID,
        nonce=nonce,
        max_fee_per_gas=price,
        max_priority_fee_per_gas=price,
        gas_limit=gas,
        to=to,
        value=value,
        data=data,
    )
    return draft.claim(sender)


def edit(signature, *arguments, nonce=1, **more):
    return claimed(DEV, to=DEV, nonce=nonce, gas=300_000, data=edit_calldata(signature, *arguments, **more))


def development():
    return MemoryChain(document=replace(genesis_document(), dev=True))


def account(chain, address):
    return chain.state.account(address)


def test_an_unsigned_transaction_survives_its_encoding():
    transaction = claimed(SOMEBODY)
    decoded = decode_transaction(transaction.raw)
    assert decoded == transaction
    assert (decoded.sender, decoded.is_unsigned, transaction.is_unsigned) == (SOMEBODY, True, True)
    assert not decode_transaction(sign(KEYS[0], 0).raw).is_unsigned


def test_with_a_parity_it_is_a_signature_out_of_range():
    raw = claimed(SOMEBODY).raw
    assert raw[-23:-22] == b"\x80"
    with pytest.raises(InvalidSignature, match="invalid transaction v, r, s values"):
        decode_transaction(raw[:-23] + b"\x01" + raw[-22:])


def test_no_other_chain_builds_or_accepts_a_block_with_one():
    ordinary = MemoryChain()
    transaction = claimed(ADDRESSES[0])
    assert not ordinary.document.dev
    assert ordinary.build([transaction])[0].transactions == ()
    block, _ = ordinary.build([sign(KEYS[0], 0, to=ADDRESSES[1])])
    forged = replace(block, transactions=(transaction,))
    with pytest.raises(InvalidBlock, match="it is not signed"):
        check_block(ordinary.chain, ordinary.parent, forged)


def test_no_other_chain_s_pool_takes_one():
    rules = ChainRules(fork=Fork.OSAKA, chain_id=DEVNET_ID)
    with pytest.raises(InvalidSignature, match="it is not signed"):
        Admission(rules, genesis_document().params, allow_unprotected=False).decode(claimed(SOMEBODY).raw)
    allowing = Admission(replace(rules, allow_unsigned=True), genesis_document().params, allow_unprotected=False)
    assert allowing.decode(claimed(SOMEBODY).raw).sender == SOMEBODY


def test_a_chain_for_development_includes_them_and_a_validator_agrees():
    chain = development()
    before = chain.balance(ADDRESSES[0])
    block = chain.advance([claimed(ADDRESSES[0], value=7)])
    assert chain.balance(ADDRESSES[0]) == before - 7
    assert chain.nonce(ADDRESSES[0]) == 1
    assert block is not None


def test_a_contract_sends_on_a_chain_for_development():
    chain = development()
    chain.advance([edit(SET_CODE, SOMEBODY, tail=b"\x5b\x00")])
    chain.advance([claimed(SOMEBODY, to=ADDRESSES[1])])
    assert chain.nonce(SOMEBODY) == 1


def test_edits_change_accounts():
    chain = development()
    code = bytes(range(1, 100))
    chain.advance([edit(SET_BALANCE, SOMEBODY, 5)])
    chain.advance([edit(SET_NONCE, SOMEBODY, 9, nonce=2)])
    chain.advance([edit(SET_CODE, SOMEBODY, nonce=3, tail=code)])
    chain.advance([edit(SET_STORAGE, SOMEBODY, 3, 42, nonce=4)])
    state = account(chain, SOMEBODY)
    assert (state.balance, state.nonce, chain.state.code(state.code_hash)) == (5, 9, code)
    assert chain.state.storage(SOMEBODY, 3) == 42


@pytest.mark.parametrize(
    ("transaction", "reason"),
    [
        (edit(SET_NONCE, DEV, 0), b"a nonce only rises"),
        (edit(SET_BALANCE, STAKING, 0), b"system contracts are not edited"),
        (edit(SET_BALANCE, FEES, 0), b"system contracts are not edited"),
        (edit(SET_BALANCE, SOMEBODY, 2**128), b"a balance over 2^128 - 1 wei"),
        (edit(SET_CODE, HISTORY_CONTRACT, tail=b""), b"system contracts are not edited"),
        (edit(SET_STORAGE, SOMEBODY, 1, 1), b"keeps no storage"),
        (edit("setNothing(address)", SOMEBODY, 1), b"no such edit"),
        (
            sign(KEYS[0], 0, to=DEV, gas=300_000, data=edit_calldata(SET_BALANCE, SOMEBODY, 1)),
            b"only the development node",
        ),
        (claimed(SOMEBODY, to=DEV, gas=300_000, data=edit_calldata(SET_BALANCE, SOMEBODY, 1)), b"only the development"),
    ],
    ids=[
        "lower nonce",
        "staking",
        "fees",
        "too much",
        "predeploy",
        "empty account",
        "unknown",
        "signed by a user",
        "claimed by a user",
    ],
)
def test_edits_that_are_refused_revert(transaction, reason):
    chain = development()
    block, outcome = chain.build([transaction])
    assert block.transactions == (transaction,)
    assert outcome.transactions[0].failure == "execution reverted"
    assert reason in outcome.transactions[0].output


def test_other_chains_have_no_development_contract():
    assert account(MemoryChain(), DEV) is None
    assert account(development(), DEV) is not None


def test_the_flag_is_written_read_and_part_of_the_hash():
    document = replace(genesis_document(), dev=True)
    assert parse_genesis(format_genesis(document)) == document
    assert '"dev"' not in format_genesis(genesis_document())
    assert document.hash != genesis_document().hash
    assert [network_genesis(name).dev for name in ("mainnet", "testnet", "devnet")] == [False, False, True]


@pytest.mark.parametrize("chain_id", [18, 19])
def test_a_public_network_is_never_for_development(chain_id):
    with pytest.raises(ConfigError, match="public network"):
        replace(genesis_document(), chain_id=chain_id, dev=True)
