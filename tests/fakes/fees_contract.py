"""The fees contract as tests talk to it, and a chain with a sponsored shop."""

from __future__ import annotations

from eth_abi import encode

from cybermiles.chain.predeploys import FEES
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.simulate import Simulation
from cybermiles.state.slots import ReadStorage
from cybermiles.system.abi import load_abi
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.pyevm.backend import contract_address
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, sign
from tests.fakes.native_demo import artifact

ABI = load_abi("ICmtFees")
OWNER, OWNER_KEY = ADDRESSES[0], KEYS[0]
SHOP = contract_address(OWNER, 0)
CMT = 10**18


def calldata(name, *arguments):
    """Calldata of the fees contract."""
    return ABI.functions[name].encode_call(*arguments)


def shop_code(owner=bytes(20)):
    """Initcode of the shop."""
    return bytes.fromhex(artifact("SponsoredShop")["bytecode"][2:]) + owner.rjust(32, b"\x00")


def shop_call(signature, *arguments):
    """Calldata of the shop."""
    types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(types, arguments)


BUY, FAIL, BURN = (shop_call(f"{name}()") for name in ("buy", "fail", "burn"))


def fee_call(key, nonce, name, *arguments, value=0, price=PAID, gas=400_000):
    """A signed transaction to the fees contract."""
    return sign(key, nonce, to=FEES, gas=gas, price=price, data=calldata(name, *arguments), value=value)


def sponsored(key, nonce=0, *, gas=600_000, data=BUY, to=SHOP, price=0, value=0):
    """A transaction that is too large to be free and offers nothing."""
    return sign(key, nonce, to=to, gas=gas, price=price, data=data, value=value)


class ShopChain(MemoryChain):
    """A chain whose account 0 has deployed a shop."""

    def __init__(self, params=None, **more):
        super().__init__(params, **more)
        self.price = self.document.params.min_gas_price
        _, outcome = self.advance([sign(OWNER_KEY, 0, to=None, gas=2_000_000, price=self.price, data=shop_code())])
        if outcome.transactions[0].contract_address != SHOP:
            raise AssertionError(outcome.transactions[0])

    def owner_does(self, name, *arguments, value=0):
        """A paid call of account 0 in a block of its own; its outcome."""
        call = fee_call(OWNER_KEY, self.nonce(OWNER), name, *arguments, value=value, price=self.price)
        _, outcome = self.advance([call])
        return outcome.transactions[0]

    def open(self, *, deposit=CMT, max_gas=1_000_000, per_user=3, per_day=100 * CMT, only_listed=False):
        """Claim the shop, make rules, fund it."""
        steps = [
            self.owner_does("claimSponsorship", SHOP, 0),
            self.owner_does("setSponsorRules", SHOP, max_gas, per_user, per_day, only_listed),
        ]
        if deposit:
            steps.append(self.owner_does("fundSponsorship", SHOP, value=deposit))
        if not all(step.receipt.succeeded for step in steps):
            raise AssertionError(steps)
        return self

    def ask(self, name, *arguments, sender=OWNER):
        """What a view answers in a call on the head."""
        message = CallMessage(sender=sender, to=FEES, gas=1_000_000, data=calldata(name, *arguments))
        result = self.simulation.call(message, compute_units=100_000)
        if result.failure is not None:
            raise AssertionError(result)
        return ABI.functions[name].decode_output(result.output)

    @property
    def simulation(self):
        """Calls on the head."""
        return Simulation(chain=self.chain, params=self.document.params, header=self.head, state=self.state)

    @property
    def storage(self):
        """The fees contract's storage at the head."""
        return ReadStorage(self.state, FEES)

    @property
    def deposit(self):
        """The shop's deposit."""
        return self.ask("sponsorBudget", SHOP)[0][1]

    def skip_to_next_day(self, seconds=0):
        """Advance to the first second of the next day and `seconds` more."""
        self.advance((), 86_400 - self.head.timestamp % 86_400 + seconds)
