"""Unchanged clients against the real process: web3.py, ethers, viem and web3.js."""

from __future__ import annotations

import json
import subprocess

import pytest
from py_ecc import bn128
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.logs import DISCARD

from tests.e2e.conftest import CONTRACTS, KEYS, artifact

pytestmark = pytest.mark.e2e
GWEI = 10**9


@pytest.fixture(scope="module")
def w3(devnet):
    return Web3(Web3.HTTPProvider(devnet.url))


@pytest.fixture(scope="module")
def account(w3):
    return w3.eth.account.from_key(KEYS[0])


def send(w3, account, transaction):
    transaction = {"nonce": w3.eth.get_transaction_count(account.address), "chainId": 181818} | transaction
    signed = account.sign_transaction(transaction)
    receipt = w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.1)
    assert receipt["status"] == 1
    return receipt


def deploy(w3, account, name, *arguments):
    contract = w3.eth.contract(abi=artifact(name)["abi"], bytecode=artifact(name)["bytecode"])
    built = contract.constructor(*arguments).build_transaction({"from": account.address})
    receipt = send(w3, account, built)
    return w3.eth.contract(receipt["contractAddress"], abi=artifact(name)["abi"]), receipt


def transact(w3, account, call, **options):
    return send(w3, account, call.build_transaction({"from": account.address, "gasPrice": 0, **options}))


def test_a_value_transfer_is_free_even_at_a_price(w3, account):
    before = w3.eth.get_balance(account.address)
    receipt = send(
        w3,
        account,
        {
            "to": "0x" + "11" * 20,
            "value": 10**18,
            "gas": 21_000,
            "maxFeePerGas": 5 * GWEI,
            "maxPriorityFeePerGas": 5 * GWEI,
        },
    )
    assert receipt["effectiveGasPrice"] == 0
    assert receipt["gasUsed"] == 21_000
    assert before - w3.eth.get_balance(account.address) == 10**18


def test_web3_prices_a_deployment_by_itself_and_the_token_works(w3, account):
    token, receipt = deploy(w3, account, "LoyaltyToken", "Loyalty", "LOY", 10**24)
    assert receipt["gasUsed"] > 500_000
    assert receipt["effectiveGasPrice"] == 2 * GWEI
    assert token.functions.name().call() == "Loyalty"
    to = Web3.to_checksum_address("0x" + "22" * 20)
    paid = transact(w3, account, token.functions.transfer(to, 42))
    assert paid["effectiveGasPrice"] == 0
    (event,) = token.events.Transfer().process_receipt(paid)
    assert (event["args"]["to"], event["args"]["value"]) == (to, 42)
    logs = token.events.Transfer().get_logs(from_block=receipt["blockNumber"])
    assert [log["args"]["value"] for log in logs] == [10**24, 42]
    assert token.functions.balanceOf(to).call(block_identifier=paid["blockNumber"] - 1) == 0


def test_a_uniswap_like_pair_mints_swaps_and_burns(w3, account):
    first, _ = deploy(w3, account, "LoyaltyToken", "A", "A", 10**24)
    second, _ = deploy(w3, account, "LoyaltyToken", "B", "B", 10**24)
    pair, _ = deploy(w3, account, "ConstantProductPair", first.address, second.address)
    tokens = {token.address: token for token in (first, second)}
    token0, token1 = (tokens[pair.functions.token0().call()], tokens[pair.functions.token1().call()])
    for token in (token0, token1):
        transact(w3, account, token.functions.transfer(pair.address, 10**21))
    transact(w3, account, pair.functions.mint(account.address))
    assert pair.functions.balanceOf(account.address).call() == 10**21 - 1000
    transact(w3, account, token0.functions.transfer(pair.address, 10**18))
    wanted = 10**21 - (10**42 * 1000) // ((10**21 + 10**18) * 1000 - 10**18 * 3) - 1
    with pytest.raises(ContractLogicError):
        pair.functions.swap(0, wanted + 10, account.address).call({"from": account.address})
    receipt = transact(w3, account, pair.functions.swap(0, wanted, account.address))
    (swap,) = pair.events.Swap().process_receipt(receipt, errors=DISCARD)
    assert (swap["args"]["amount0In"], swap["args"]["amount1Out"]) == (10**18, wanted)
    reserves = pair.functions.getReserves().call()
    assert reserves[:2] == [10**21 + 10**18, 10**21 - wanted]
    shares = pair.functions.balanceOf(account.address).call()
    transact(w3, account, pair.functions.transfer(pair.address, shares))
    transact(w3, account, pair.functions.burn(account.address))
    assert pair.functions.balanceOf(account.address).call() == 0


def test_a_too_large_zero_price_transaction_is_refused_with_what_to_do(w3, account):
    transaction = {
        "nonce": w3.eth.get_transaction_count(account.address),
        "chainId": 181818,
        "gas": 812_345,
        "gasPrice": 0,
        "data": artifact("LoyaltyToken")["bytecode"],
    }
    signed = account.sign_transaction(transaction)
    with pytest.raises(Web3RPCError) as caught:
        w3.eth.send_raw_transaction(signed.raw_transaction)
    error = json.loads(str(caught.value).replace("'", '"')) if str(caught.value).startswith("{") else {}
    message = error.get("message", str(caught.value))
    assert "gas limit 812345 is over the free limit 500000: set a gas price of at least 2 gwei" in message
    assert "0.0017 CMT" in message


def test_reverts_carry_their_reason_and_data(w3, account):
    probe, _ = deploy(w3, account, "Probe")
    with pytest.raises(ContractLogicError, match="execution reverted: out of stock"):
        probe.functions.revertWithReason().call()
    with pytest.raises(ContractLogicError, match="out of stock"):
        probe.functions.revertWithReason().estimate_gas()
    number, timestamp, chain_id, base_fee, *_ = probe.functions.environment().call()
    assert (chain_id, base_fee) == (181818, 0)
    block = w3.eth.get_block(number)
    assert block["timestamp"] == timestamp
    assert probe.functions.hashOf(number - 1).call() == w3.eth.get_block(number - 1)["hash"]


def test_an_estimate_is_enough_to_succeed(w3, account):
    probe, _ = deploy(w3, account, "Probe")
    call = probe.functions.store(7)
    gas = call.estimate_gas({"from": account.address})
    assert transact(w3, account, call, gas=gas)["gasUsed"] <= gas <= 60_000
    assert probe.functions.stored().call() == 7


def run_client(node_directory, script, devnet, key):
    result = subprocess.run(
        ["node", str(node_directory / script), devnet.url, key, str(CONTRACTS)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_ethers_works_unchanged(devnet, node_directory):
    out = run_client(node_directory, "ethers.mjs", devnet, KEYS[1])
    assert out["chainId"] == 181818
    assert out["transfer"] == {"status": 1, "gasPrice": "0", "paid": str(5 * 10**18)}
    assert out["emptied"] == {"status": 1, "balance": "0"}
    assert "set a gas price of at least 2 gwei" in out["zeroPrice"]
    assert out["token"] == {"name": "Loyalty", "supply": str(10**21)}
    assert out["pair"] == {"reserves": [str(11 * 10**18), str(91 * 10**17)], "bought": str(9 * 10**17)}
    assert (out["free"], out["event"], out["pushed"]) == ("0", "42", "42")
    assert out["reason"] == "out of stock"
    assert out["customError"] == "Refused"


def test_viem_works_unchanged(devnet, node_directory):
    out = run_client(node_directory, "viem.mjs", devnet, KEYS[2])
    assert out["transferPrice"] == out["callPrice"] == "0"
    assert (out["deployPrice"], out["symbol"], out["logs"]) == (str(2 * GWEI), "VIE", 1)
    assert out["types"] == [[kind, "success"] for kind in ("legacy", "eip2930", "eip1559", "eip7702")]
    assert (out["delegated"], out["ownStorage"]) == (True, 7)
    assert (out["pushed"], out["head"]) == (True, True)
    assert out["errors"] == ["out of stock", "Refused", "NonceTooLowError", "InsufficientFundsError"]


def test_web3_js_works_unchanged(devnet, node_directory):
    out = run_client(node_directory, "web3js.mjs", devnet, KEYS[3])
    assert out["chainId"] == 181818
    assert out["types"] == [[kind, 1, "0"] for kind in (0, 1, 2)]
    assert (out["symbol"], out["event"], out["head"], out["pushed"]) == ("WEB", "42", "bigint", True)
    assert out["reason"] == out["estimate"] == "execution reverted: out of stock"
    assert out["customError"] == "Refused"


def test_a_contract_that_checks_a_proof_costs_compute_units_and_says_so_in_its_estimate(w3, account):
    """Four pairs of BN254, as a Groth16 verifier has: little gas, but more time than the free lane gives."""
    (x, y), (a, b) = bn128.G1, (point.coeffs[::-1] for point in bn128.G2)
    minus = bn128.field_modulus - y.n
    balanced = b"".join(int(number).to_bytes(32) for sign in (y.n, minus) * 2 for number in (x.n, sign, *a, *b))
    stops_if_it_holds = "365f5f3760205f365f60085afa505f51601957fe5b00"
    stops_if_it_holds = stops_if_it_holds.replace("6019", f"60{len(stops_if_it_holds) // 2 - 2:02x}")
    code = bytes.fromhex(f"60{len(stops_if_it_holds) // 2:02x}80600a3d393df3" + "00" + stops_if_it_holds)
    verifier = send(w3, account, {"data": code, "gas": 100_000, "gasPrice": 0})["contractAddress"]
    call = {"from": account.address, "to": verifier, "data": balanced}
    estimate = w3.eth.estimate_gas(call)
    assert estimate == 500_001
    receipt = send(w3, account, call | {"gas": estimate, "gasPrice": 2 * GWEI})
    assert receipt["gasUsed"] < 300_000
    with pytest.raises(Web3RPCError, match="invalid opcode"):
        w3.eth.call(call | {"data": balanced[:192], "gas": 500_000})
