"""Whole blocks on a chain in memory: lanes in effect, fees, mint, supply, and builder against validator."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from eth_abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from cybermiles.chain.fees import Lane
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import CREATE2_DEPLOYER, HISTORY_CONTRACT, MULTICALL3, STAKING
from cybermiles.errors import InvalidBlock
from cybermiles.execution.simulate import Simulation
from cybermiles.execution.validation import apply_block, validate_consensus
from cybermiles.state.trie import ACCOUNT_TRIE, decode_account
from cybermiles.state.walk import leaves
from cybermiles.types.block import Block, decode_block
from cybermiles.vm.backend import CallMessage
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, sign

CONTRACTS = Path(__file__).parents[2] / "contracts"

ONE_TRANSACTION_A_BLOCK = ChainParams(
    compute_units_per_block=100_000,
    compute_units_per_transaction=100_000,
    free_compute_units_per_block=1_000,
    free_compute_units_per_transaction=1_000,
)
"""May use up its compute units."""


def artifact(name):
    return bytes.fromhex(json.loads((CONTRACTS / f"{name}.json").read_text())["bytecode"][2:])


def total_balance(chain):
    """Sum of every account in the trie, not of those somebody thought of."""
    return sum(decode_account(leaf).balance for _, leaf in leaves(chain, ACCOUNT_TRIE, chain.head.state_root))


def assert_supply(chain):
    assert total_balance(chain) + chain.burnt == chain.document.supply + chain.minted


def test_an_empty_block_mints_to_the_award_pool_and_nothing_else():
    chain = MemoryChain()
    _, outcome = chain.advance()
    assert outcome.minted == 2536783358701166920
    assert chain.balance(STAKING) == outcome.minted
    assert_supply(chain)


def test_a_free_transfer_costs_nothing_and_a_paid_one_feeds_the_award_pool():
    chain = MemoryChain()
    before = chain.balance(ADDRESSES[0])
    pool = [
        sign(KEYS[0], 0, to=ADDRESSES[1], value=5, price=9 * PAID),
        sign(KEYS[0], 1, to=ADDRESSES[1], value=5, price=PAID),
    ]
    _, outcome = chain.advance(pool)
    free, paid = outcome.transactions
    assert (free.lane, free.effective_gas_price, free.gas_used) == (Lane.FREE, 0, 21_000)
    assert (paid.lane, paid.effective_gas_price) == (Lane.PAID, PAID)
    assert outcome.fees == 21_000 * PAID
    assert chain.balance(ADDRESSES[0]) == before - 10 - outcome.fees
    assert chain.balance(STAKING) == outcome.minted + outcome.fees
    assert_supply(chain)


def test_an_account_without_coins_may_use_the_free_lane():
    chain = MemoryChain()
    penniless = b"\x05" * 32
    block, outcome = chain.advance([sign(penniless, 0, to=ADDRESSES[0], price=PAID)])
    assert len(block.transactions) == 1
    assert outcome.transactions[0].lane is Lane.FREE
    assert_supply(chain)


def test_a_hundred_and_one_zero_price_offers_fill_a_hundred_slots():
    chain = MemoryChain()
    block, outcome = chain.advance([sign(key, 0) for key in KEYS[:101]])
    assert len(block.transactions) == 100
    assert {tx.lane for tx in outcome.transactions} == {Lane.FREE}
    block, _ = chain.advance([sign(KEYS[100], 0)])
    assert len(block.transactions) == 1


def test_a_failed_free_transaction_keeps_its_slot_and_is_charged_nothing():
    chain = MemoryChain()
    before = chain.balance(ADDRESSES[0])
    create = sign(KEYS[0], 0, to=None, data=bytes.fromhex("5f5ffd"), gas=100_000)
    again = sign(KEYS[0], 1)
    block, outcome = chain.advance([create, again])
    assert [tx.failure for tx in outcome.transactions] == ["execution reverted"]
    assert len(block.transactions) == 1
    assert chain.balance(ADDRESSES[0]) == before
    assert chain.nonce(ADDRESSES[0]) == 1


def test_a_nonce_gap_or_an_unaffordable_value_stays_out_of_the_block():
    chain = MemoryChain()
    block, _ = chain.advance([sign(KEYS[0], 1), sign(KEYS[1], 0, value=10**30), sign(KEYS[2], 0)])
    assert [tx.sender for tx in block.transactions] == [ADDRESSES[2]]


def test_a_transaction_that_overruns_the_block_budget_waits_for_the_next_block():
    chain = MemoryChain(ONE_TRANSACTION_A_BLOCK)
    loop = "635b6000565f526004601cf3"  # returns JUMPDEST PUSH1 0 JUMP
    chain.advance([sign(KEYS[0], 0, to=None, data=bytes.fromhex(loop), gas=600_000, price=PAID)])
    contract = contract_of(chain, 0)
    spinners = [sign(key, 0, to=contract, gas=1_000_000, price=PAID) for key in KEYS[1:9]]
    block, outcome = chain.advance(spinners)
    assert 0 < len(block.transactions) < len(spinners)
    assert {tx.failure for tx in outcome.transactions} == {"out of gas"}
    assert outcome.compute_units <= ONE_TRANSACTION_A_BLOCK.compute_units_per_block
    endless = sign(KEYS[20], 0, to=contract, gas=10_000_000, price=PAID)
    _, outcome = chain.advance([endless])
    assert outcome.transactions[0].failure == "compute budget exceeded"
    assert outcome.transactions[0].gas_used == 10_000_000
    assert outcome.compute_units == ONE_TRANSACTION_A_BLOCK.compute_units_per_block
    assert_supply(chain)


def test_code_is_paid_for_by_the_first_transaction_of_a_block_that_runs_it():
    chain = MemoryChain()
    code = "00" + "fe" * 1_999
    initcode = deploying(code)
    chain.advance([sign(KEYS[0], 0, to=None, data=initcode, gas=700_000, price=PAID)])
    contract = contract_of(chain, 0)
    for nonce in range(2):
        _, outcome = chain.advance([sign(key, nonce, to=contract, gas=50_000) for key in KEYS[1:4]])
        first, *later = [tx.compute_units for tx in outcome.transactions]
        assert later == [first - len(code) // 20] * 2
        assert [tx.failure for tx in outcome.transactions] == [None] * 3


def test_code_that_only_an_undone_transaction_ran_is_not_paid_for():
    """The block was too full for it; the next one may have it, and code that it loaded is loaded again."""
    chain = MemoryChain(ONE_TRANSACTION_A_BLOCK)
    spin = "36600657005b5b600656" + "fe" * 2_000  # spins with calldata, stops without
    initcode = deploying(spin)
    chain.advance([sign(KEYS[0], 0, to=None, data=initcode, gas=700_000, price=PAID)])
    contract = contract_of(chain, 0)
    own = "5b5f565b" + "fd" * 20  # another code that spins
    again = deploying(own)
    chain.advance([sign(KEYS[0], 1, to=None, data=again, gas=200_000, price=PAID)])
    spinner = contract_of(chain, 0, 1)
    filling = sign(KEYS[1], 0, to=spinner, gas=1_000_000, price=PAID)
    undone = sign(KEYS[2], 0, to=contract, data=b"x", gas=16_000_000, price=PAID)
    short = sign(KEYS[3], 0, to=contract, gas=50_000, price=PAID)
    block, outcome = chain.advance([filling, undone, short])
    assert block.transactions == (filling, short)
    assert outcome.transactions[1].compute_units > len(spin) // 20


def deploying(code):
    """Initcode that returns `code`."""
    return bytes.fromhex(f"61{len(code) // 2:04x}80600a5f395ff3" + code)


def contract_of(chain, sender, nonce=0):
    from cybermiles.vm.pyevm.backend import contract_address

    address = contract_address(ADDRESSES[sender], nonce)
    assert chain.state.account(address) is not None
    return address


def test_self_destruction_to_oneself_burns_and_is_counted():
    chain = MemoryChain()
    initcode = bytes.fromhex("30ff")  # ADDRESS SELFDESTRUCT
    _, outcome = chain.advance([sign(KEYS[0], 0, to=None, data=initcode, value=77, gas=100_000)])
    assert outcome.transactions[0].failure is None
    assert outcome.burnt == 77
    assert_supply(chain)


def test_block_hashes_come_from_the_state():
    chain = MemoryChain()
    probe = artifact("Probe")
    chain.advance([sign(KEYS[0], 0, to=None, data=probe, gas=2_000_000, price=PAID)])
    contract = contract_of(chain, 0)
    for _ in range(3):
        chain.advance()
    simulation = Simulation(chain=chain.chain, params=chain.document.params, header=chain.head, state=chain.state)

    def block_hash(number):
        data = selector("hashOf(uint256)") + encode(["uint256"], [number])
        message = CallMessage(sender=ADDRESSES[0], to=contract, gas=1_000_000, data=data)
        return simulation.call(message, compute_units=100_000).output

    height = chain.head.height
    for number in range(height):
        assert block_hash(number) == chain.headers[number].hash
    assert block_hash(height) == block_hash(height + 1) == bytes(32)
    assert chain.state.storage(HISTORY_CONTRACT, 2) == int.from_bytes(chain.headers[2].hash)


def selector(signature):
    from cybermiles.crypto.hashing import keccak256

    return keccak256(signature.encode())[:4]


def test_predeploys_answer():
    chain = MemoryChain()
    simulation = Simulation(chain=chain.chain, params=chain.document.params, header=chain.head, state=chain.state)
    get_chain_id = selector("getChainId()")
    calls = encode(["(address,bool,bytes)[]"], [[("0x" + MULTICALL3.hex(), False, get_chain_id)]])
    message = CallMessage(
        sender=ADDRESSES[0], to=MULTICALL3, gas=1_000_000, data=selector("aggregate3((address,bool,bytes)[])") + calls
    )
    output = simulation.call(message, compute_units=100_000).output
    from eth_abi import decode

    (results,) = decode(["(bool,bytes)[]"], output)
    assert results == ((True, (181818).to_bytes(32)),)
    deployed = CallMessage(
        sender=ADDRESSES[0], to=CREATE2_DEPLOYER, gas=1_000_000, data=bytes(32) + bytes.fromhex("5f5ff3")
    )
    assert len(simulation.call(deployed, compute_units=100_000).output) == 20
    stub = CallMessage(sender=ADDRESSES[0], to=STAKING, gas=100_000)
    assert simulation.call(stub, compute_units=100_000).failure == "execution reverted"


TAMPERED = {
    "state root": {"state_root": b"\x01" * 32},
    "receipts root": {"receipts_root": b"\x01" * 32},
    "transactions root": {"transactions_root": b"\x01" * 32},
    "logs bloom": {"logs_bloom": b"\x01" * 256},
    "gas used": {"gas_used": 1},
    "gas limit": {"gas_limit": 1},
    "extra data": {"extra_data": b"\x01" * 32},
    "parent hash": {"parent_hash": b"\x01" * 32},
    "height": {"height": 9},
    "block hash": {"coinbase": b"\x01" * 20},
}


@pytest.mark.parametrize("rule", TAMPERED)
def test_a_header_that_says_anything_else_is_refused_with_the_rule(rule):
    chain = MemoryChain()
    block, _ = chain.build([sign(KEYS[0], 0, to=ADDRESSES[1], value=1)])
    header = dataclasses.replace(block.header, **TAMPERED[rule])
    with pytest.raises(InvalidBlock, match=rule):
        apply_block(chain.chain, chain.parent, Block(header, block.transactions, block.consensus), ())


def test_a_timestamp_that_does_not_increase_is_refused():
    chain = MemoryChain()
    block, _ = chain.build(seconds=1)
    header = dataclasses.replace(block.header, timestamp=chain.head.timestamp)
    with pytest.raises(InvalidBlock, match="not after the parent"):
        apply_block(chain.chain, chain.parent, Block(header, (), block.consensus), ())


def test_a_block_with_a_transaction_that_may_not_be_there_is_refused():
    chain = MemoryChain()
    block, _ = chain.build()
    for intruder, reason in (
        (sign(KEYS[0], 5), "nonce too high"),
        (sign(KEYS[0], 0, gas=600_000), "gas limit 600000 is over the free limit"),
        (sign(KEYS[0], 0, chain_id=1), "invalid chain id"),
    ):
        with pytest.raises(InvalidBlock, match=f"transaction 0: {reason}"):
            apply_block(chain.chain, chain.parent, Block(block.header, (intruder,), block.consensus), ())


def test_the_hundred_and_first_free_transaction_makes_a_block_invalid():
    chain = MemoryChain()
    block, _ = chain.build([sign(key, 0) for key in KEYS[:100]])
    stuffed = Block(block.header, (*block.transactions, sign(KEYS[100], 0)), block.consensus)
    with pytest.raises(InvalidBlock, match="transaction 100: no free slot"):
        apply_block(chain.chain, chain.parent, stuffed, ())


def test_consensus_fields_are_checked_against_the_parent():
    chain = MemoryChain()
    chain.advance()
    block, _ = chain.build()

    def check(**changes):
        validate_consensus(chain.chain, chain.parent, dataclasses.replace(block.consensus, **changes))

    check()
    commit = block.consensus.last_commit
    for changes, reason in (
        ({"validators_hash": bytes(32)}, "validators hash"),
        ({"next_validators_hash": bytes(32)}, "next validators hash"),
        ({"parameters_hash": bytes(32)}, "parameters hash"),
        ({"app_version": 2}, "application version"),
        ({"evidence": (b"x",)}, "evidence"),
        ({"last_commit": dataclasses.replace(commit, height=7)}, "last commit height"),
        ({"last_commit": dataclasses.replace(commit, block_hash=bytes(32))}, "last commit block"),
        ({"last_commit": dataclasses.replace(commit, signatures=(None,))}, "more than two thirds"),
        ({"last_commit": dataclasses.replace(commit, signatures=(bytes(64),))}, "wrong precommit signature"),
        ({"last_commit": dataclasses.replace(commit, signatures=())}, "0 signatures for 1 validators"),
    ):
        with pytest.raises(InvalidBlock, match=reason):
            check(**changes)


OFFERS = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.integers(0, 14),
        st.sampled_from([0, 1, 10**18, 10**22]),
        st.sampled_from([21_000, 90_000, 500_000, 700_000]),
        st.sampled_from([0, 1, PAID, 5 * PAID]),
        st.sampled_from([b"", bytes.fromhex("30ff"), bytes.fromhex("33ff"), bytes.fromhex("5f5ffd"), b"\xfe"]),
    ),
    max_size=14,
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(OFFERS, st.integers(1, 100_000)), min_size=1, max_size=4))
def test_builder_and_validator_agree_and_the_supply_is_exact(blocks):
    chain = MemoryChain(accounts=ADDRESSES[:13])
    for offers, seconds in blocks:
        nonces = {}
        transactions = []
        for sender, to, value, gas, price, data in offers:
            nonce = nonces.get(sender, chain.nonce(ADDRESSES[sender]))
            nonces[sender] = nonce + 1
            creates = bool(data)
            transactions.append(
                sign(
                    KEYS[sender],
                    nonce,
                    to=None if creates else ADDRESSES[to],
                    value=value,
                    gas=gas,
                    price=price,
                    data=data,
                )
            )
        block, outcome = chain.advance(transactions, seconds)
        assert_supply(chain)
        decoded = decode_block(block.encode(), max_bytes=10**7)
        assert decoded == block
        assert outcome.header.hash == decoded.hash


HASH_SEED_SCRIPT = """
from tests.factories import *
from pathlib import Path
import json
chain = MemoryChain(accounts=ADDRESSES[:40])
code = bytes.fromhex(json.loads(Path("tests/contracts/Probe.json").read_text())["bytecode"][2:])
chain.advance([sign(key, 0, to=None, data=code, gas=499_000) for key in KEYS[:20]])
chain.advance([sign(key, 0 if n >= 20 else 1, to=ADDRESSES[n - 7], value=n, price=PAID) for n, key in enumerate(KEYS[:40])])
chain.advance([sign(KEYS[1], 2, to=None, data=bytes.fromhex("30ff"), value=3, gas=90_000)])
print(chain.head.hash.hex())
"""


def test_the_same_blocks_have_the_same_hash_under_every_hash_seed():
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH_SEED_SCRIPT],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ".", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(hashes) == 1
    assert len(hashes.pop().strip()) == 64
