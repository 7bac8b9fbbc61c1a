"""Staking and slashing as transactions and calls see them: outputs, logs, refusals, estimates, the free lane."""

from __future__ import annotations

import dataclasses

import pytest

from cybermiles.chain.fees import Lane
from cybermiles.chain.genesis import founder, with_stake_powers
from cybermiles.chain.predeploys import GOVERNANCE, SLASHING, STAKING
from cybermiles.crypto import ed25519
from cybermiles.execution.simulate import AccountOverride, Simulation
from cybermiles.governance.errors import AmountOverCap
from cybermiles.staking import errors
from cybermiles.staking.delegations import ALL
from cybermiles.staking.keys import key_proof_bytes
from cybermiles.staking.supply import total_supply
from cybermiles.state.slots import ReadStorage
from cybermiles.state.world import WorldState
from cybermiles.system.abi import load_abi
from cybermiles.system.errors import refusal_data
from cybermiles.system.staking import PageTooLong
from cybermiles.types import rlp
from cybermiles.vm.backend import CallMessage
from tests import factories
from tests.factories import ADDRESSES, KEYS, PAID, VALIDATOR_KEYS, MemoryChain, double_vote, sign, validator

CMT = 10**18
STAKING_ABI, SLASHING_ABI = load_abi("ICmtStaking"), load_abi("ICmtSlashing")
PROFILE = ("name", "https://x.example", "here", "a@b.example", "about")


class StakedChain(MemoryChain):
    """Four founders with a million CMT each; the accounts from 10 on have coins."""

    def __init__(self, monkeypatch, **params):
        plain = factories.genesis_document

        def staked(_params, accounts, _powers):
            document = plain(None, accounts, (1,))
            document = dataclasses.replace(
                document, validators=(), foundation=ADDRESSES[19], params=dataclasses.replace(document.params, **params)
            )
            kind, amount = type(document.allocations[0]), 5_000_000 * CMT
            listed = tuple(kind("test", address, amount) for address in ADDRESSES[:20])
            rest = kind("rest", b"\x99" * 20, document.supply - 20 * amount)
            document = dataclasses.replace(document, allocations=(*listed, rest))
            entries = [founder(f"v{n}", validator(n), 1_000_000 * CMT, document.params) for n in range(4)]
            return document.with_validators(with_stake_powers(entries, document.params))

        monkeypatch.setattr(factories, "genesis_document", staked)
        super().__init__()

    def transaction(self, who, name, *arguments, value=0, abi=STAKING_ABI, to=STAKING, gas=400_000):
        data = abi.functions[name].encode_call(*arguments)
        price = PAID if gas > 500_000 else 0
        return sign(KEYS[who], self.nonce(ADDRESSES[who]), to=to, value=value, gas=gas, price=price, data=data)

    def send(self, who, name, *arguments, **options):
        """Return the outcome of a block with this one call, and the block's."""
        _, outcome = self.advance([self.transaction(who, name, *arguments, **options)])
        return outcome.transactions[0], outcome

    @property
    def simulation(self):
        return Simulation(chain=self.chain, params=self.document.params, header=self.head, state=self.state)

    def view(self, name, *arguments, abi=STAKING_ABI, to=STAKING):
        function = abi.functions[name]
        message = CallMessage(sender=ADDRESSES[0], to=to, gas=10**7, data=function.encode_call(*arguments))
        result = self.simulation.call(message, compute_units=10**6)
        if result.failure is not None:
            return result.output
        output = function.decode_output(result.output)
        return output[0] if len(output) == 1 else output

    def proof(self, who, key):
        return ed25519.sign(key, key_proof_bytes(self.chain.chain_id, self.chain.genesis_hash, ADDRESSES[who]))


@pytest.fixture
def chain(monkeypatch):
    return StakedChain(monkeypatch)


def names(outcome, abi=STAKING_ABI):
    topics = {event.topic: name for name, event in abi.events.items()}
    return [topics[log.topics[0]] for log in outcome.receipt.logs]


def test_a_life_of_a_delegation_over_real_transactions(chain):
    done, _ = chain.send(10, "delegate", ADDRESSES[0], value=5_000 * CMT)
    assert (done.receipt.succeeded, done.lane, names(done)) == (True, Lane.FREE, ["Delegated"])
    chain.advance()
    held = chain.view("delegation", ADDRESSES[10], ADDRESSES[0])
    assert (held[1], held[5]) == (5_000 * CMT, 200_000)
    assert held[2] > 0
    assert chain.view("delegationsOf", ADDRESSES[10], 0, 5) == (held,)
    assert ADDRESSES[10] in chain.view("delegatorsOf", ADDRESSES[0], 0, 5)
    left, _ = chain.send(10, "undelegate", ADDRESSES[0], 1_000 * CMT)
    assert names(left) == ["ExitRequested"]
    (exit_,) = chain.view("exitsOf", ADDRESSES[10], 0, 5)
    assert exit_ == (1, ADDRESSES[0], 1_000 * CMT, chain.head.timestamp + 604_800)
    moved, _ = chain.send(10, "redelegate", ADDRESSES[0], ADDRESSES[1], ALL)
    assert names(moved) == ["Redelegated"]
    before = chain.balance(ADDRESSES[10])
    _, outcome = chain.advance(seconds=604_800)
    assert chain.balance(ADDRESSES[10]) == before + 1_000 * CMT
    assert [log.topics[0] for log in outcome.system_logs][:1] == [STAKING_ABI.events["ExitPaid"].topic]


def test_a_candidacy_declares_is_elected_changes_hands_and_ends(chain):
    key, other = VALIDATOR_KEYS[7], VALIDATOR_KEYS[8]
    public = ed25519.public_key(key)
    arguments = (public, chain.proof(12, key), 20_000_000 * CMT, 150_000, PROFILE)
    done, outcome = chain.send(12, "declareCandidacy", *arguments, value=2_000_000 * CMT, gas=1_500_000)
    assert names(done) == ["CandidacyDeclared"]
    assert public in [member.consensus_key for member in outcome.validator_updates.validators]
    assert chain.view("validatorCount") == 5
    view = chain.view("validator", ADDRESSES[12])
    assert view[:3] == (ADDRESSES[12], public, 3)
    assert chain.view("validators", 4, 10) == (view,)
    assert chain.view("profile", ADDRESSES[12]) == PROFILE
    for name, values, events in (
        ("updateProfile", (PROFILE,), ["ProfileUpdated"]),
        ("updateCandidacy", (0, 100_000), ["CandidacyUpdated"]),
        ("rotateConsensusKey", (ed25519.public_key(other), chain.proof(12, other)), ["ConsensusKeyRotated"]),
        ("deactivate", (), ["ActiveChanged"]),
        ("activate", (), ["ActiveChanged"]),
        ("offerOwnership", (ADDRESSES[13],), ["OwnershipOffered"]),
    ):
        gas = 1_500_000 if name == "updateCandidacy" else 400_000
        done, _ = chain.send(12, name, *values, gas=gas)
        assert names(done) == events, name
    done, _ = chain.send(13, "acceptOwnership", 1)
    assert names(done) == ["OwnerChanged"]
    done, _ = chain.send(14, "delegate", ADDRESSES[13], value=1_000 * CMT)
    done, _ = chain.send(13, "setCompRateFor", ADDRESSES[14], 1)
    assert names(done) == ["CompRateSet"]
    done, _ = chain.send(19, "setVerified", ADDRESSES[13], True)
    assert names(done) == ["VerifiedChanged"]
    done, _ = chain.send(13, "withdrawCandidacy")
    assert names(done) == ["CandidacyWithdrawn", "ExitRequested"]
    assert chain.view("validator", ADDRESSES[13])[2] == 4


def test_evidence_by_a_stranger_is_paid_for_by_the_guilty(chain):
    for _ in range(3):
        chain.advance()
    member = chain.validators(2).validators[0]
    votes = double_vote(chain.chain, member, 2)
    encoded = [rlp.encode(vote.to_item()) for vote in (votes.first, votes.second)]
    done, outcome = chain.send(15, "submitEvidence", *encoded, abi=SLASHING_ABI, to=SLASHING)
    assert names(done, SLASHING_ABI) == ["Slashed", "Tombstoned"]
    assert outcome.burnt > 49_999 * CMT
    owner = member.operator
    (slash,) = chain.view("slashes", owner, 0, 5, abi=SLASHING_ABI, to=SLASHING)
    assert slash == (4, 2, 50_000, outcome.burnt, votes.hash)
    assert chain.view("slashCount", owner, abi=SLASHING_ABI, to=SLASHING) == 1
    assert chain.view("signing", owner, abi=SLASHING_ABI, to=SLASHING)[5] is True
    assert chain.view("slashedFrom", owner, owner, abi=SLASHING_ABI, to=SLASHING) == outcome.burnt
    again, _ = chain.send(16, "submitEvidence", *encoded, abi=SLASHING_ABI, to=SLASHING)
    assert again.output == refusal_data(SLASHING_ABI, errors.EvidenceRejected("punished already"))
    assert member.address not in chain.validators(chain.head.height + 2).addresses


def test_evidence_in_a_block_slashes_before_its_transactions(chain):
    for _ in range(3):
        chain.advance()
    member = chain.validators(2).validators[0]
    owner = ADDRESSES.index(member.operator)
    escape = chain.transaction(owner, "withdrawCandidacy")
    proof = double_vote(chain.chain, member, 2).encode()
    _, outcome = chain.advance([escape], evidence=[proof])
    assert outcome.transactions[0].receipt.succeeded
    (exit_,) = chain.view("exitsOf", member.operator, 0, 5)
    assert exit_[2] + outcome.burnt >= 1_000_000 * CMT
    assert exit_[2] < 951_000 * CMT


def test_the_supply_is_what_the_chain_counts(chain):
    for _ in range(5):
        chain.advance()
    total, minted, burnt, staked, ceiling, rate = chain.view("supply")
    assert (total, minted, burnt, ceiling, rate) == (10**27 + chain.minted, chain.minted, 0, 10**28, 80_000)
    assert total == total_supply(ReadStorage(chain.state, STAKING))
    assert 0 <= chain.balance(STAKING) - staked < 10
    owners, amounts = chain.view("awardsPaid", chain.head.height)
    assert sorted(owners) == sorted(ADDRESSES[:4])
    assert len(set(amounts)) == 1
    assert chain.view("awardsPaid", chain.head.height - 1) == ((), ())
    assert chain.view("rules", abi=SLASHING_ABI, to=SLASHING) == (7_200, 1_200, 1_000, 50_000, 600, True)


def test_pages_are_bounded(chain):
    for name, arguments in (
        ("validators", (0, 101)),
        ("delegationsOf", (ADDRESSES[0], 0, 101)),
        ("delegatorsOf", (ADDRESSES[0], 0, 101)),
        ("exitsOf", (ADDRESSES[0], 0, 101)),
    ):
        assert chain.view(name, *arguments) == refusal_data(STAKING_ABI, PageTooLong(100))
    assert chain.view("validators", 2**255, 100) == ()
    assert chain.view("slashes", ADDRESSES[0], 0, 101, abi=SLASHING_ABI, to=SLASHING) == refusal_data(
        SLASHING_ABI, PageTooLong(100)
    )


@pytest.mark.parametrize("name", ["validator", "profile"])
def test_reading_nobody_is_refused_by_name(chain, name):
    assert chain.view(name, ADDRESSES[9]) == refusal_data(STAKING_ABI, errors.UnknownValidator(ADDRESSES[9]))


def test_what_holders_do_is_free_with_a_wallets_buffer_and_as_estimated(chain):
    chain.send(10, "delegate", ADDRESSES[0], value=50_000 * CMT)
    for name, arguments, value in (
        ("delegate", (ADDRESSES[0],), 1_000 * CMT),
        ("undelegate", (ADDRESSES[0], 1_000 * CMT), 0),
        ("redelegate", (ADDRESSES[0], ADDRESSES[1], 5_000 * CMT), 0),
    ):
        data = STAKING_ABI.functions[name].encode_call(*arguments)
        message = CallMessage(sender=ADDRESSES[10], to=STAKING, gas=10**7, value=value, data=data)
        called = chain.simulation.call(message, compute_units=100_000)
        estimate = chain.simulation.estimate_gas(message)
        assert estimate * 3 // 2 <= 500_000
        done, _ = chain.send(10, name, *arguments, value=value, gas=estimate)
        assert done.receipt.succeeded, name
        assert done.lane is Lane.FREE
        assert done.gas_used == called.gas_used <= estimate <= done.gas_used * 102 // 100


def test_a_refused_call_costs_gas_and_nothing_else(chain):
    before = chain.balance(ADDRESSES[10])
    storage = ReadStorage(chain.state, STAKING)
    candidates = storage.load(0) >> 192
    done, outcome = chain.send(10, "delegate", ADDRESSES[0], value=CMT)
    assert not done.receipt.succeeded
    assert done.output == refusal_data(STAKING_ABI, errors.BelowMinimum(1_000 * CMT))
    assert chain.balance(ADDRESSES[10]) == before
    assert storage.load(0) >> 192 == candidates
    assert done.receipt.logs == ()
    assert len(outcome.changes.storage[STAKING]) <= 3


def test_whose_coins_are_frozen_cannot_sell_the_stake(monkeypatch):
    chain = StakedChain(monkeypatch)
    owner = validator(0).operator
    message = CallMessage(sender=owner, to=STAKING, gas=10**6, data=encoded("offerOwnership", ADDRESSES[13]))
    world = WorldState(chain.state)
    context = chain.simulation._context()
    assert chain.chain.backend.call(world, context, message, compute_units=10_000).failure is None
    accept = CallMessage(sender=ADDRESSES[13], to=STAKING, gas=10**6, data=encoded("acceptOwnership", 1))
    for frozen, refused in (({owner}, True), ({ADDRESSES[14]}, False)):
        result = chain.chain.backend.call(
            world, dataclasses.replace(context, frozen=frozen), accept, compute_units=10_000
        )
        assert result.output == (refusal_data(STAKING_ABI, errors.NotAllowed()) if refused else b"")
        assert (result.failure is not None) is refused


def test_a_call_that_pretends_to_have_more_than_there_is_is_refused_in_words(monkeypatch):
    chain, amount = StakedChain(monkeypatch), 2**200
    rich = dataclasses.replace(chain.simulation, overrides={ADDRESSES[13]: AccountOverride(balance=amount)})
    cap, most = 10_000_000 * CMT, chain.document.params.max_supply
    governance = load_abi("ICmtGovernance")
    propose = governance.functions["proposeSignal"].encode_call("title", "reason", 0)
    for to, data, refusal in (
        (STAKING, encoded("delegate", validator(0).operator), errors.StakeCapReached(cap, 1_000_000 * CMT + amount)),
        (GOVERNANCE, propose, AmountOverCap(most, amount)),
    ):
        message = CallMessage(sender=ADDRESSES[13], to=to, gas=10**7, data=data, value=amount)
        assert rich.call(message, compute_units=100_000).output == refusal_data(governance, refusal)


def encoded(name, *arguments):
    return STAKING_ABI.functions[name].encode_call(*arguments)
