"""A system contract that exists in tests only, at the staking contract's address: one method for each duty of the frame."""

from __future__ import annotations

import json
from pathlib import Path

from cybermiles.chain.predeploys import STAKING
from cybermiles.errors import Refusal
from cybermiles.state.slots import mapping_slot
from cybermiles.system.abi import parse_abi
from cybermiles.system.dispatch import SystemContract
from cybermiles.system.gas import MethodCost

CONTRACTS = Path(__file__).parents[1] / "contracts"
VALUES = 5
"""Slot of mapping(uint256 => uint256)."""
CHOICES = ("None", "Yes", "No")
PUT, DEPOSIT, PAY, REFUSE = (MethodCost(n, c) for n, c in ((40_000, 100), (30_000, 90), (50_000, 110), (60_000, 120)))
COSTS = {"put": PUT, "deposit": DEPOSIT, "pay": PAY, "refuse": REFUSE}


def artifact(name):
    return json.loads((CONTRACTS / f"{name}.json").read_text())


ABI = parse_abi("INativeDemo", artifact("INativeDemo")["abi"], {"INativeDemo.Choice": CHOICES})


class Refused(Refusal):
    pass


def put(call, key, value):
    slot = mapping_slot(VALUES, key)
    before = call.storage.load(slot)
    call.storage.store(slot, value)
    call.emit("Put", call.sender, key, value)
    return before


def get(call, key):
    return call.storage.load(mapping_slot(VALUES, key))


def who_am_i(call):
    return call.sender, call.context.height, call.context.timestamp


def deposit(call):
    return call.world.balance(call.address)


def pay(call, to, amount):
    if amount > call.world.balance(call.address):
        raise Refused(to, amount, "not enough")
    call.transfer(to, amount)
    return call.world.balance(call.address)


def echo(call, given, number):
    return given, number


def list_(call, count):
    call.charge_items(count)
    return tuple(range(count))


def refuse(call, who, amount, why):
    put(call, 7, 999)
    call.transfer(who, call.value)
    raise Refused(who, amount, why)


HANDLERS = {
    "put": put, "get": get, "whoAmI": who_am_i, "deposit": deposit, "pay": pay, "echo": echo, "list": list_,
    "refuse": refuse,
}  # fmt: skip


def demo(handlers=HANDLERS):
    """Return the contract; other handlers than its own show what the frame does with them."""
    return SystemContract(STAKING, ABI, handlers, COSTS)


def calldata(name, *arguments):
    return ABI.functions[name].encode_call(*arguments)
