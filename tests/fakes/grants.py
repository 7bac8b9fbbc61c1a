"""A chain with two founders who stake and with grants under lock."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from eth_abi import encode

from cybermiles.chain.genesis import Allocation, GenesisValidator, VestingGrant, with_stake_powers
from cybermiles.chain.params import ChainParams
from cybermiles.chain.predeploys import STAKING, VESTING
from cybermiles.crypto.hashing import keccak256
from cybermiles.execution.simulate import Simulation
from cybermiles.state.slots import ReadStorage
from cybermiles.system.abi import load_abi
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.pyevm.backend import contract_address
from tests.factories import ADDRESSES, KEYS, PAID, MemoryChain, genesis_document, sign, validator
from tests.fakes.native_demo import artifact

ABI, STAKING_ABI = load_abi("ICmtVesting"), load_abi("ICmtStaking")
CMT = 10**18
FOUNDERS = ADDRESSES[0:2]
HOLDER, HOLDER_KEY = ADDRESSES[10], KEYS[10]
DEPLOYER = ADDRESSES[12]
CONTRACT = contract_address(DEPLOYER, 0)
"""A holder that is a contract, once it is deployed."""
TOTAL = 1_000_000 * CMT + 1
"""Of each grant."""
DURATION = 1_000_000
"""Seconds."""
DELAY = 100
"""Between block 0 and the start of the grants."""
UNBONDING = 500
"""Seconds."""


def grant_document(**params):
    """Two founders with 200 000 CMT each of their own, and two grants."""
    params = ChainParams(**{"unbonding_seconds": UNBONDING, "evidence_max_age_seconds": UNBONDING} | params)
    plain = genesis_document(params)
    start = plain.timestamp + DELAY
    grants = tuple(
        VestingGrant(f"grant {i}", h, TOTAL, start, start + DURATION) for i, h in enumerate((HOLDER, CONTRACT))
    )
    founders = with_stake_powers(
        [
            GenesisValidator(f"founder {i}", validator(i), 200_000 * CMT, 2_000_000 * CMT, Fraction(1, 5))
            for i in range(2)
        ],
        params,
    )
    *funded, rest = plain.allocations
    extra = [Allocation("founder", address, 300_000 * CMT) for address in FOUNDERS]
    taken = 2 * TOTAL + sum(a.amount for a in extra) - sum(g.amount for g in plain.vesting)
    return replace(
        plain,
        validators=founders,
        vesting=grants,
        allocations=(*funded, *extra, replace(rest, amount=rest.amount - taken)),
    )


class GrantChain(MemoryChain):
    """A chain on `grant_document`."""

    def __init__(self, **params):
        super().__init__(document=grant_document(**params))
        self.start = self.document.timestamp + DELAY

    def at(self, time):
        """Advance to a header time."""
        self.advance((), time - self.head.timestamp)
        return self

    def run(self, name, *arguments, key=HOLDER_KEY, seconds=1, value=0):
        """A call of the vesting contract in a block of its own; its outcome."""
        data = ABI.functions[name].encode_call(*arguments)
        return self.send(VESTING, data, key=key, seconds=seconds, value=value)

    def send(self, to, data, *, key=HOLDER_KEY, seconds=1, value=0):
        """Any call in a block of its own; its outcome."""
        sender = ADDRESSES[KEYS.index(key)]
        tx = sign(key, self.nonce(sender), to=to, gas=400_000, price=PAID, data=data, value=value)
        return self.advance([tx], seconds)[1].transactions[0]

    def ask(self, name, *arguments, sender=HOLDER, block=None):
        """What a view of the vesting contract answers on the head."""
        message = CallMessage(
            sender=sender, to=VESTING, gas=1_000_000, data=ABI.functions[name].encode_call(*arguments)
        )
        result = self.simulation.call(message, compute_units=100_000)
        if result.failure is not None:
            raise AssertionError(result)
        found = ABI.functions[name].decode_output(result.output)
        return found[0] if len(found) == 1 else found

    def grant(self, holder=HOLDER):
        """(total, released, staked, lost) of a grant."""
        view = self.ask("grantOf", holder)
        return view[1], view[4], view[5], view[6]

    def held(self):
        """Σ of what the books say is in the contract."""
        views = self.ask("grants", 0, 100)
        return sum(v[1] - v[4] - v[5] - v[6] for v in views)

    @property
    def simulation(self):
        """Calls on the head."""
        return Simulation(chain=self.chain, params=self.document.params, header=self.head, state=self.state)

    @property
    def storage(self):
        """The vesting contract's storage at the head."""
        return ReadStorage(self.state, VESTING)

    @property
    def staking(self):
        """The staking contract's storage at the head."""
        return ReadStorage(self.state, STAKING)

    def deploy_holder(self):
        """Put the contract that holds a grant at its address."""
        code = bytes.fromhex(artifact("GrantHolder")["bytecode"][2:])
        tx = sign(KEYS[12], 0, to=None, gas=2_000_000, price=PAID, data=code)
        (did,) = self.advance([tx])[1].transactions
        if did.contract_address != CONTRACT:
            raise AssertionError(did)
        return self


def holder_call(signature, *arguments):
    """Calldata of the contract that holds a grant."""
    types = [kind for kind in signature[signature.index("(") + 1 : -1].split(",") if kind]
    return keccak256(signature.encode())[:4] + encode(types, arguments)
