"""The named cases of the golden traces: our own contracts doing what tracers are asked about."""

from __future__ import annotations

import json
from pathlib import Path

from eth_abi import encode

from cybermiles.crypto.hashing import keccak256
from cybermiles.vm.pyevm.backend import contract_address
from tests.factories import ADDRESSES
from tests.oracle.geth_traces import account, hexed, transaction

CONTRACTS = Path(__file__).parents[1] / "contracts"
RICH = 10**20
A, B, C, D = (bytes([0xA0 + number]) * 20 for number in range(4))
OTHER = ADDRESSES[1]


def bytecode(name, types=(), values=()):
    """Return a contract's initcode with its constructor's arguments."""
    return bytes.fromhex(json.loads((CONTRACTS / f"{name}.json").read_text())["bytecode"][2:]) + encode(types, values)


def call(signature, *values):
    """Return calldata."""
    types = signature.partition("(")[2][:-1]
    return keccak256(signature.encode())[:4] + encode(types.split(",") if types else [], values)


def created(number):
    """Return the contract that the first account's transaction of this number creates."""
    return contract_address(ADDRESSES[0], number)


def push(value, size=None):
    data = value if isinstance(value, bytes) else value.to_bytes(size or max(1, (value.bit_length() + 7) // 8))
    return bytes((0x5F + len(data),)) + data


def calling(opcode, to, *, gas=50_000, value=0, size=0, out=0):
    """Return code that calls with `size` bytes of memory and leaves the success on the stack."""
    amount = push(value) if opcode in (0xF1, 0xF2) else b""
    return push(out) + push(0) + push(size) + push(0) + amount + push(to) + push(gas, 3) + bytes((opcode,))


def writing(data):
    """Return code that puts up to 32 bytes at the start of memory."""
    return push(data.ljust(32, b"\0")) + push(0) + b"\x52"


STORE = bytes.fromhex("6001600155")
LOG = bytes.fromhex("60aa60206000a1")
RETURN_WORD = bytes.fromhex("60206000f3")
REVERT = bytes.fromhex("60006000fd")
REVERT_WORD = bytes.fromhex("60206000fd")
LOOP = bytes.fromhex("5b600056")
DEPLOY_STOP = bytes.fromhex("600160005360016000f3")
"""Initcode that deploys one byte, ADD."""


def creating(opcode, initcode, value=0):
    """Return code that creates from `initcode`, at most 32 bytes, and leaves the address on the stack."""
    salt = push(7) if opcode == 0xF5 else b""
    return writing(initcode) + salt + push(len(initcode)) + push(0) + push(value) + bytes((opcode,))


def assembled(name, codes, **more):
    """Return a case of one transaction to the first of these codes."""
    alloc = {hexed(ADDRESSES[0]): account(balance=RICH, nonce=0)}
    storage = more.pop("storage", None)
    for number, (address, code) in enumerate(zip((A, B, C, D), codes, strict=False)):
        alloc[hexed(address)] = account(code, balance=1_000, storage=storage if number == 0 else None)
    return name, {"alloc": alloc, "transactions": [transaction(A, **more)]}


def deployed(name, *steps):
    """Return a case of transactions of the first account one after the other: (to, data)."""
    alloc = {hexed(address): account(balance=RICH, nonce=0) for address in ADDRESSES[:2]}
    transactions = [transaction(to, data, nonce=nonce, gas=3_000_000) for nonce, (to, data) in enumerate(steps)]
    return name, {"alloc": alloc, "transactions": transactions}


def named_cases():
    """Return name to case."""
    token = bytecode("LoyaltyToken", ["string", "string", "uint256"], ["Loyal", "LOY", 10**24])
    pair = bytecode("ConstantProductPair", ["address", "address"], [created(0), created(1)])
    probe = created(0)
    identity, recover, modexp = (number.to_bytes(20) for number in (4, 1, 5))
    cases = [
        ("transfer", {"alloc": {hexed(ADDRESSES[0]): account(balance=RICH, nonce=0)},
                      "transactions": [transaction(OTHER, value=5, gas=21_000)]}),
        deployed(
            "token",
            (None, token),
            (created(0), call("transfer(address,uint256)", OTHER, 10**18)),
            (created(0), call("approve(address,uint256)", OTHER, 5)),
            (created(0), call("transferFrom(address,address,uint256)", OTHER, ADDRESSES[0], 5)),
        ),
        deployed(
            "pair",
            (None, token),
            (None, token),
            (None, pair),
            (created(0), call("transfer(address,uint256)", created(2), 10**20)),
            (created(1), call("transfer(address,uint256)", created(2), 3 * 10**20)),
            (created(2), call("mint(address)", ADDRESSES[0])),
            (created(0), call("transfer(address,uint256)", created(2), 10**18)),
            (created(2), call("swap(uint256,uint256,address)", 0, 10**17, OTHER)),
        ),
        deployed(
            "failures",
            (None, bytecode("Probe")),
            (probe, call("store(uint256)", 7)),
            (probe, call("revertWithReason()")),
            (probe, call("revertWithError()")),
            (probe, call("panic(uint256)", 0)),
            (probe, call("nothing()")),
        ),
        assembled("delegate to a library", [calling(0xF4, B) + LOG + b"\x00", STORE + LOG + b"\x00"]),
        assembled("callcode with value", [calling(0xF2, B, value=3) + b"\x00", STORE + b"\x00"], value=5),
        assembled("a static call that writes", [calling(0xFA, B) + b"\x00", STORE + b"\x00"]),
        assembled("an inner call out of gas", [calling(0xF1, B, gas=1_000) + STORE + b"\x00", LOOP]),
        assembled("an inner call reverts with a log", [LOG + calling(0xF1, B) + LOG + b"\x00", STORE + LOG + calling(0xF1, C) + REVERT, LOG]),
        assembled("the outer call reverts", [STORE + calling(0xF1, B, value=2) + writing(b"why") + REVERT_WORD, LOG]),
        assembled("a call that is not covered", [calling(0xF1, B, value=5_000) + b"\x00", b"\x00"]),
        assembled("precompiles", [writing(b"abc") + calling(0xF1, identity, size=3, out=3) + calling(0xFA, recover, size=32)
                                  + calling(0xF1, modexp, gas=10) + b"\x00"]),
        assembled("create", [creating(0xF0, DEPLOY_STOP, value=1) + creating(0xF5, DEPLOY_STOP) + creating(0xF5, DEPLOY_STOP)
                             + creating(0xF0, REVERT) + creating(0xF0, bytes.fromhex("60ef60005360016000f3")) + b"\x00"], gas=12_000_000),
        assembled("create without the money", [creating(0xF0, DEPLOY_STOP, value=10**6) + b"\x00"]),
        assembled("selfdestruct", [calling(0xF1, B) + calling(0xF1, B) + creating(0xF0, push(C) + b"\xff", value=9) + b"\x00",
                                   push(C) + b"\xff"]),
        assembled("storage cleared", [bytes.fromhex("6000600155600254600355600060025560016001550000")], storage={1: 5, 2: 6}),
        assembled("transient storage", [bytes.fromhex("600560015d60015c60025500")]),
        assembled("other accounts", [push(B) + b"\x3b" + push(C) + b"\x3f" + push(D) + b"\x31" + b"\x47\x00", LOG, b"", b""]),
        assembled("a delegated account", [b"\xef\x01\x00" + B, STORE + LOG + calling(0xF1, C) + b"\x00", b"\xef\x01\x00" + D, STORE + REVERT]),
        assembled("an authorization", [calling(0xF1, ADDRESSES[1]) + b"\x00", STORE + b"\x30\x50\x00"],
                  authorizations=[(1, 0, B.hex()), (2, 9, C.hex()), (0, 1, C.hex())]),
        assembled("an opcode that is none", [STORE + b"\xfe"]),
        assembled("a bad jump", [bytes.fromhex("6004565b00")]),
        assembled("an empty stack", [b"\x01"]),
        assembled("out of gas at once", [STORE], gas=21_005),
        assembled("recursion", [push(0) + b"\x54\x60\x01\x01" + push(0) + b"\x55" + calling(0xF1, A, gas=0xFFFFFF) + b"\x00"], gas=120_000),
        assembled("return data", [writing(b"x") + calling(0xF1, B, size=4, out=32) + b"\x3d\x60\x00\x60\x20\x3e" + RETURN_WORD,
                                  writing(b"out") + RETURN_WORD]),
    ]  # fmt: skip
    return dict(cases)
