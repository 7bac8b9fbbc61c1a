"""Transfers of coins and of a token by many senders in turn, for any Ethereum node: signed before a clock starts."""

from __future__ import annotations

import json
import time
from pathlib import Path

from eth_abi import encode

from benchmarks.bench_rpc import send_batches
from benchmarks.load import accounts, rpc
from cybermiles.crypto.hashing import keccak256
from cybermiles.vm.pyevm.backend import contract_address

SENDERS = 200
BATCH = 100
TOKEN = Path(__file__).parent / "erc20_shanghai.json"
"""tests/contracts/LoyaltyToken.sol compiled for Shanghai, so that every node of the last years runs it."""


def port_of(url):
    return int(url.rsplit(":", 1)[1])


def submit(url, transactions):
    """Send transactions to one node and wait for the last."""
    send_batches(port_of(url), [tx.raw for tx in transactions], BATCH)
    while rpc(url, "eth_getTransactionReceipt", "0x" + transactions[-1].hash.hex()) is None:
        time.sleep(0.1)


def transfers(sign, url, count, nonces, recipients):  # noqa: ARG001  (as `token_transfers`)
    """Return plain transfers. `sign(sender, nonce, to, data, gas, value)` signs; `nonces` has each sender's next."""
    return [
        sign(i % SENDERS, nonces[i % SENDERS] + i // SENDERS, recipients[i * 7 % len(recipients)], value=1)
        for i in range(count)
    ]


def token_transfers(sign, url, count, nonces, recipients):
    """Deploy a token, give every sender some, and return transfers of it."""
    code = bytes.fromhex(json.loads(TOKEN.read_text())["bytecode"][2:])
    token = contract_address(accounts(1)[0], nonces[0])
    selector = keccak256(b"transfer(address,uint256)")[:4]

    def move(sender, nonce, to, amount):
        data = selector + encode(["address", "uint256"], ["0x" + to.hex(), amount])
        return sign(sender, nonce, token, data, 80_000)

    deploy = sign(0, nonces[0], None, code + encode(["string", "string", "uint256"], ["T", "T", 10**27]), 2_000_000)
    shares = [move(0, nonces[0] + 1 + i, address, 10**22) for i, address in enumerate(accounts(SENDERS)[1:])]
    submit(url, [deploy, *shares])
    nonces = [nonces[0] + SENDERS, *nonces[1:]]
    return [
        move(i % SENDERS, nonces[i % SENDERS] + i // SENDERS, recipients[i * 7 % len(recipients)], 1)
        for i in range(count)
    ]
