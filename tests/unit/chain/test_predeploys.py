"""Predeployed code: the very bytes other chains have at those addresses, and it works here."""

from __future__ import annotations

import pytest
from eth_abi import decode, encode

from cybermiles.chain.predeploys import (
    CREATE2_DEPLOYER,
    CREATE2_DEPLOYER_CODE,
    FEES,
    GOVERNANCE,
    HISTORY_CODE,
    HISTORY_CONTRACT,
    MULTICALL3,
    MULTICALL3_CODE,
    SLASHING,
    STAKING,
    SYSTEM_CONTRACTS,
    VESTING,
    predeployed_code,
)
from cybermiles.chain.reading import checksum
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.simulate import Simulation
from cybermiles.vm.backend import CallMessage
from tests.factories import ADDRESSES, DEVNET_ID, MemoryChain


@pytest.mark.parametrize(
    ("address", "code", "size", "code_hash"),
    [
        (
            "0xcA11bde05977b3631167028862bE2a173976CA11",
            MULTICALL3_CODE,
            3808,
            "d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891",
        ),
        (
            "0x4e59b44847b379578588920cA78FbF26c0B4956C",
            CREATE2_DEPLOYER_CODE,
            69,
            "2fa86add0aed31f33a762c9d88e807c475bd51d0f52bd0955754b2608f7e4989",
        ),
        (
            "0x0000F90827F1C53a10cb7A02335B175320002935",
            HISTORY_CODE,
            83,
            "6e49e66782037c0555897870e29fa5e552daf4719552131a0abce779daec0a5d",
        ),
    ],
)
def test_the_code_is_what_other_chains_have_at_the_address(address, code, size, code_hash):
    (found,) = [a for a in predeployed_code() if checksum(a) == address]
    assert predeployed_code()[found] == code
    assert len(code) == size
    assert keccak256(code).hex() == code_hash


def test_the_system_contracts_have_their_addresses_and_a_reverting_stub():
    assert [address.hex() for address in SYSTEM_CONTRACTS] == [
        "0" * 34 + f"434d{n}" for n in ("01", "03", "04", "05", "06")
    ]
    assert SYSTEM_CONTRACTS == (STAKING, SLASHING, GOVERNANCE, VESTING, FEES)
    codes = predeployed_code()
    assert {codes[address] for address in SYSTEM_CONTRACTS} == {bytes.fromhex("60006000fd")}
    assert list(codes) == sorted(codes)
    assert len(codes) == 8


@pytest.fixture(scope="module")
def chain():
    chain = MemoryChain()
    chain.advance()
    return chain


def call(chain, to, data, value=0):
    simulation = Simulation(chain=chain.chain, params=chain.document.params, header=chain.head, state=chain.state)
    message = CallMessage(sender=ADDRESSES[0], to=to, gas=2_000_000, data=data, value=value)
    return simulation.call(message, compute_units=100_000)


def selector(signature):
    return keccak256(signature.encode())[:4]


def multicall(chain, signature, types, *arguments, value=0):
    return call(chain, MULTICALL3, selector(signature) + encode(types, arguments), value)


TARGET = "0x" + MULTICALL3.hex()
STUB = "0x" + STAKING.hex()
CHAIN_ID = selector("getChainId()")
ANSWER = DEVNET_ID.to_bytes(32)


def test_multicall3_aggregates(chain):
    result = multicall(chain, "aggregate((address,bytes)[])", ["(address,bytes)[]"], [(TARGET, CHAIN_ID)] * 2)
    height, answers = decode(["uint256", "bytes[]"], result.output)
    assert height == chain.head.height
    assert answers == (ANSWER, ANSWER)


def test_multicall3_tells_which_calls_failed(chain):
    calls = [(TARGET, True, CHAIN_ID), (STUB, True, b"")]
    result = multicall(chain, "aggregate3((address,bool,bytes)[])", ["(address,bool,bytes)[]"], calls)
    assert decode(["(bool,bytes)[]"], result.output) == (((True, ANSWER), (False, b"")),)
    result = multicall(
        chain,
        "tryAggregate(bool,(address,bytes)[])",
        ["bool", "(address,bytes)[]"],
        False,
        [(STUB, b""), (TARGET, CHAIN_ID)],
    )
    assert decode(["(bool,bytes)[]"], result.output) == (((False, b""), (True, ANSWER)),)


def test_multicall3_fails_as_a_whole_where_a_call_must_not(chain):
    refused = multicall(chain, "aggregate3((address,bool,bytes)[])", ["(address,bool,bytes)[]"], [(STUB, False, b"")])
    assert refused.failure == "execution reverted"
    assert b"Multicall3: call failed" in refused.output


def test_multicall3_forwards_value_and_insists_that_it_adds_up(chain):
    signature, types = "aggregate3Value((address,bool,uint256,bytes)[])", ["(address,bool,uint256,bytes)[]"]
    receiver = "0x" + ADDRESSES[7].hex()
    calls = [(receiver, False, 3, b""), (receiver, False, 4, b"")]
    assert decode(["(bool,bytes)[]"], multicall(chain, signature, types, calls, value=7).output) == (
        ((True, b""), (True, b"")),
    )
    refused = multicall(chain, signature, types, calls, value=8)
    assert refused.failure == "execution reverted"
    assert b"Multicall3: value mismatch" in refused.output


def test_multicall3_reads_the_chain(chain):
    def word(signature, data=b""):
        return int.from_bytes(call(chain, MULTICALL3, selector(signature) + data).output)

    assert word("getChainId()") == DEVNET_ID
    assert word("getBasefee()") == 0
    assert word("getBlockNumber()") == chain.head.height
    assert word("getCurrentBlockGasLimit()") == chain.document.params.block_gas_limit
    assert word("getEthBalance(address)", bytes(12) + ADDRESSES[5]) == chain.balance(ADDRESSES[5])
    assert word("getBlockHash(uint256)", (0).to_bytes(32)) == int.from_bytes(chain.headers[0].hash)


def test_the_deployer_creates_at_the_address_that_salt_and_code_determine(chain):
    salt, initcode = (7).to_bytes(32), bytes.fromhex("5f5ff3")
    expected = keccak256(b"\xff" + CREATE2_DEPLOYER + salt + keccak256(initcode))[12:]
    assert call(chain, CREATE2_DEPLOYER, salt + initcode).output == expected


def test_the_history_contract_serves_the_hash_of_an_ancestor_and_refuses_others(chain):
    assert call(chain, HISTORY_CONTRACT, (0).to_bytes(32)).output == chain.headers[0].hash
    assert call(chain, HISTORY_CONTRACT, (10**6).to_bytes(32)).failure == "execution reverted"
    assert call(chain, HISTORY_CONTRACT, bytes(31)).failure == "execution reverted"


@pytest.mark.parametrize("address", SYSTEM_CONTRACTS)
def test_an_unfinished_system_contract_refuses_every_call(chain, address):
    assert call(chain, address, b"").failure == "execution reverted"
    assert call(chain, address, selector("delegate(address)") + bytes(32), value=1).failure == "execution reverted"
