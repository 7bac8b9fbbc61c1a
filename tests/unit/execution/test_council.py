"""Governance in whole blocks: transactions of holders and contracts in, parameters, freezes, payouts and logs out."""

from __future__ import annotations

import pytest
from eth_abi import decode, encode

from cybermiles.chain.predeploys import GOVERNANCE, STAKING
from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import AccountFrozen
from cybermiles.execution.block import BlockExecution
from cybermiles.execution.builder import consensus_data
from cybermiles.execution.simulate import CallFailed, Simulation
from cybermiles.execution.validation import environment_of
from cybermiles.state.walk import leaves
from cybermiles.system.interface import read_refusal
from cybermiles.types import rlp
from cybermiles.vm.backend import CallMessage
from cybermiles.vm.pyevm.backend import contract_address
from tests.factories import ADDRESSES, PAID
from tests.fakes.council import (
    CMT,
    NOTICE,
    STAKING_ABI,
    TIMELOCK,
    VOTING,
    CouncilChain,
    artifact,
    event_names,
)
from tests.fakes.governance import tree

THIEF, VICTIM, OTHER = 10, 11, 12
STOLEN = 500_000 * CMT


@pytest.fixture
def chain():
    chain = CouncilChain()
    chain.act()
    return chain


def propose_param(chain, value="150", number=5, name="free_slots_per_block"):
    chain.act(chain.govern(number, "proposeParam", name, value, 0, "t", "r", 0, value=10 * CMT))
    return chain.view("proposalCount")[0]


def vote(chain, proposal, numbers=(0, 1, 2, 3), choice=1):
    chain.act(*[chain.govern(number, "vote", proposal, choice) for number in numbers])


def all_coins(chain):
    accounts = (rlp.decode(value) for _, value in leaves(chain, b"", chain.head.state_root))
    return sum(int.from_bytes(balance) for _, balance, _, _ in accounts)


def test_a_parameter_changes_for_the_lanes_and_the_header_at_one_height(chain):
    hashes = [chain.parent.params.hash]
    proposal = propose_param(chain, "50")
    chain.wait(NOTICE)
    vote(chain, proposal)
    chain.wait(VOTING)
    assert chain.view("proposal", proposal)[0][2] == 3
    assert chain.parent.params.free_slots_per_block == 100
    chain.act(seconds=TIMELOCK)
    height = chain.head.height + 1
    assert chain.outcome.next_params.free_slots_per_block == 50
    assert chain.outcome.next_params == chain.parent.params
    assert event_names(chain.outcome.system_logs) == ["ParamChanged", "Executed"]
    free = [chain.send(number, b"", to=ADDRESSES[0], gas=21_000, price=0) for number in range(20, 80)]
    block, _ = chain.advance(free)
    chain.nonces.clear()
    assert (block.height, len(block.transactions)) == (height, 50)
    assert block.consensus.parameters_hash == chain.parent.params.hash != hashes[0]
    assert chain.view("paramHistory", "free_slots_per_block", 0, 100)[0] == ((height, "50"),)
    assert chain.view("param", "free_slots_per_block")[0] == "50"


def test_a_theft_is_frozen_in_the_next_block_and_paid_back_and_every_step_is_an_event(chain):
    victims = {ADDRESSES[VICTIM]: 300_000 * CMT, ADDRESSES[OTHER]: 200_000 * CMT}
    root, proofs = tree(victims)
    chain.act(
        chain.govern(
            VICTIM, "proposeRecovery", (ADDRESSES[THIEF], STOLEN, root, b"\x0e" * 32), "t", "r", 0, value=10 * CMT
        )
    )
    chain.act(chain.govern(0, "supportHold", 1))
    assert chain.outcome.frozen == ()
    flight = chain.send(THIEF, b"", to=ADDRESSES[99], value=1, gas=21_000)
    chain.act(chain.govern(1, "supportHold", 1), flight)
    assert chain.outcome.frozen == (ADDRESSES[THIEF],)
    assert chain.view("held", ADDRESSES[THIEF])[0] is True
    block, _ = chain.advance([chain.send(THIEF, b"", to=ADDRESSES[99], value=1, gas=21_000)])
    chain.nonces.clear()
    assert block.transactions == ()
    chain.wait(NOTICE)
    vote(chain, 1)
    chain.wait(VOTING)
    before = chain.balance(ADDRESSES[THIEF])
    chain.wait(TIMELOCK)
    assert chain.outcome.frozen == ()
    assert chain.balance(ADDRESSES[THIEF]) == before - STOLEN
    assert chain.balance(GOVERNANCE) == STOLEN
    for victim, amount in victims.items():
        had = chain.balance(victim)
        chain.act(chain.govern(30, "claim", 1, victim, amount, proofs[victim], price=0, gas=400_000))
        assert chain.balance(victim) == had + amount
    assert chain.balance(GOVERNANCE) == 0
    chain.act(chain.send(THIEF, b"", to=ADDRESSES[99], value=1, gas=21_000))
    assert all_coins(chain) == 10**9 * CMT + chain.minted - chain.burnt


def test_a_frozen_transaction_in_a_block_makes_the_block_invalid(chain):
    root = tree({ADDRESSES[VICTIM]: 1, ADDRESSES[OTHER]: STOLEN - 1})[0]
    chain.act(
        chain.govern(
            VICTIM, "proposeRecovery", (ADDRESSES[THIEF], STOLEN, root, b"\x0e" * 32), "t", "r", 0, value=10 * CMT
        )
    )
    chain.act(chain.govern(0, "supportHold", 1), chain.govern(1, "supportHold", 1))
    request = chain.request()
    environment = environment_of(chain.parent, consensus_data(chain.parent, request, ()), request.timestamp, ())
    execution = BlockExecution(chain.chain, chain.parent, environment)
    with pytest.raises(AccountFrozen):
        execution.apply(chain.send(THIEF, b"", to=ADDRESSES[99], gas=21_000))


def test_estimates_suffice_and_members_ride_the_free_lane_with_a_wallets_buffer(chain):
    proposal = propose_param(chain)
    chain.wait(NOTICE)
    simulation = Simulation(chain=chain.chain, params=chain.parent.params, header=chain.head, state=chain.state)
    call = chain.govern(0, "vote", proposal, 1).data
    estimate = simulation.estimate_gas(CallMessage(sender=ADDRESSES[0], to=GOVERNANCE, gas=10_000_000, data=call))
    assert estimate * 3 // 2 < 500_000
    chain.nonces.clear()
    (result,) = chain.act(chain.govern(0, "vote", proposal, 1, gas=estimate * 3 // 2, price=0))
    assert (result.lane.name, result.effective_gas_price) == ("FREE", 0)
    with pytest.raises(CallFailed) as caught:
        simulation.estimate_gas(CallMessage(sender=ADDRESSES[40], to=GOVERNANCE, gas=10_000_000, data=call))
    assert read_refusal(caught.value.result.output).name == "NotAMember"


# A contract as member, proposer, victim and loot


class Contract:
    def __init__(self, chain, number=6):
        self.chain, self.number = chain, number
        self.abi = {entry["name"]: entry for entry in artifact("CouncilMember")["abi"] if entry["type"] == "function"}
        self.address = contract_address(ADDRESSES[number], chain.nonce(ADDRESSES[number]))
        code = bytes.fromhex(artifact("CouncilMember")["bytecode"][2:])
        chain.act(chain.send(number, code, to=None, gas=5_000_000))
        chain.act(chain.send(number, b"", to=self.address, value=200_000 * CMT, gas=100_000))

    def data(self, name, *arguments):
        types = [parameter["type"] for parameter in self.abi[name]["inputs"]]
        return keccak256(f"{name}({','.join(types)})".encode())[:4] + encode(types, arguments)

    def send(self, name, *arguments, **more):
        return self.chain.send(self.number, self.data(name, *arguments), to=self.address, **more)

    def read(self, name, *arguments):
        chain = self.chain
        simulation = Simulation(chain=chain.chain, params=chain.parent.params, header=chain.head, state=chain.state)
        message = CallMessage(sender=ADDRESSES[60], to=self.address, gas=10_000_000, data=self.data(name, *arguments))
        result = simulation.call(message, compute_units=400_000)
        assert result.failure is None
        return decode([parameter["type"] for parameter in self.abi[name]["outputs"]], result.output)


def test_a_contract_is_a_member_like_any_account(chain):
    contract = Contract(chain)
    chain.act(contract.send("stake", ADDRESSES[0], 50_000 * CMT))
    chain.act(contract.send("proposeByTrying", "free_slots_per_block", "150", gas=9_000_000))
    assert contract.read("needed") == (10 * CMT,)
    assert chain.balance(GOVERNANCE) == 10 * CMT
    chain.wait(NOTICE)
    chain.act(contract.send("vote", 1, 1))
    count, power, slots, frozen = contract.read("read", 1)
    assert (count, slots, frozen) == (1, "100", False)
    assert 0 < power <= 50_000 * CMT
    before = chain.balance(contract.address)
    vote(chain, 1)
    chain.wait(VOTING)
    assert chain.balance(contract.address) == before + 10 * CMT
    chain.wait(TIMELOCK)
    assert contract.read("read", 1)[2] == "150"


def test_a_revert_around_a_proposal_undoes_it_with_its_bond(chain):
    contract = Contract(chain)
    block, outcome = chain.advance([contract.send("proposeAndRevert", "free_slots_per_block", "150", 10 * CMT)])
    assert not outcome.transactions[0].receipt.succeeded
    chain.nonces.clear()
    assert chain.view("proposalCount") == (0,)
    assert (chain.balance(GOVERNANCE), chain.balance(contract.address)) == (0, 200_000 * CMT)
    assert GOVERNANCE not in outcome.changes.storage
    assert block.transactions


def test_a_contract_catches_a_refusal_by_its_type(chain):
    contract = Contract(chain)
    propose_param(chain)
    chain.wait(NOTICE)
    chain.act(contract.send("tryVote", 1))
    assert contract.read("refused") == (True,)


def test_a_contract_that_is_a_victim_claims_for_itself(chain):
    contract = Contract(chain)
    victims = {contract.address: 400_000 * CMT, ADDRESSES[OTHER]: 100_000 * CMT}
    root, proofs = tree(victims)
    chain.act(
        chain.govern(
            VICTIM, "proposeRecovery", (ADDRESSES[THIEF], STOLEN, root, b"\x0e" * 32), "t", "r", 0, value=10 * CMT
        )
    )
    chain.wait(NOTICE)
    vote(chain, 1)
    chain.wait(VOTING)
    chain.wait(TIMELOCK)
    chain.act(contract.send("claimForMe", 1, victims[contract.address], list(proofs[contract.address])))
    assert chain.balance(contract.address) == 600_000 * CMT


def test_a_frozen_contract_cannot_be_drained_and_its_reads_go_on(chain):
    contract = Contract(chain)
    root = tree({ADDRESSES[VICTIM]: 1, ADDRESSES[OTHER]: 2})[0]
    chain.act(
        chain.govern(VICTIM, "proposeRecovery", (contract.address, 3, root, b"\x0e" * 32), "t", "r", 0, value=10 * CMT)
    )
    chain.act(chain.govern(0, "supportHold", 1), chain.govern(1, "supportHold", 1))
    chain.act(contract.send("pay", ADDRESSES[99], 5))
    assert chain.balance(contract.address) == 200_000 * CMT
    for call in (
        contract.send("destroy", ADDRESSES[99]),
        contract.send("stake", ADDRESSES[0], 5_000 * CMT),
        contract.send("proposeParam", "free_slots_per_block", "150", 10 * CMT),
    ):
        _, outcome = chain.advance([call])
        chain.nonces.clear()
        assert [result.receipt.succeeded for result in outcome.transactions] == [False]
    assert chain.balance(contract.address) == 200_000 * CMT
    assert contract.read("read", 1)[3] is True
    chain.act(chain.govern(VICTIM, "cancel", 1))
    chain.act(contract.send("pay", ADDRESSES[99], 5))
    assert chain.balance(contract.address) == 200_000 * CMT - 5


def test_delegators_of_the_chain_override_their_validator(chain):
    delegate = STAKING_ABI.functions["delegate"].encode_call(ADDRESSES[0])
    chain.act(chain.send(7, delegate, to=STAKING, value=300_000 * CMT))
    proposal = propose_param(chain)
    total = chain.view("proposal", proposal)[0][12]
    chain.wait(NOTICE)
    vote(chain, proposal, (0,))
    chain.act(chain.govern(7, "vote", proposal, 2, price=0, gas=400_000))
    view = chain.view("proposal", proposal)[0]
    assert 0 < view[11] < total and view[10] > 0
    assert view[10] + view[11] <= total
    assert PAID
