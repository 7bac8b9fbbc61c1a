"""Proposals of lying proposers cost bounded room, and a verdict is about a block under its parts."""

from __future__ import annotations

from cybermiles.consensus.core.proposal_keeper import MAX_PROPOSALS, AcceptedBlock, ProposalKeeper
from tests.fakes.consensus_core import IN_TIME, STAMP, Player, block_hash, parts_of

PLAYER = Player()
signed = PLAYER.signed


def filled(round_=0):
    keeper = ProposalKeeper()
    for letter in "ABCD":
        keeper.add(signed(round_, letter), IN_TIME)
    return keeper


def test_the_same_proposal_is_not_wanted_twice_but_a_different_one_is():
    keeper = ProposalKeeper()
    keeper.add(signed(2, "A", 0), IN_TIME)
    assert not keeper.wants(signed(2, "A", 0), is_voted_for=True)
    for other in (signed(2, "A", 1), signed(2, "B", 0), signed(2, "A", 0, parts="X"), signed(1, "A", 0)):
        assert keeper.wants(other, is_voted_for=False)


def test_a_round_holds_four_proposals_and_what_a_quorum_voted_for():
    keeper = filled()
    assert len(keeper.arrivals(0)) == MAX_PROPOSALS
    assert not keeper.wants(signed(0, "E"), is_voted_for=False)
    assert keeper.wants(signed(0, "E"), is_voted_for=True)
    assert not keeper.wants(signed(0, "A", parts="X"), is_voted_for=True)  # its block is there
    assert keeper.wants(signed(1, "E"), is_voted_for=False)


def test_a_proposal_rests_on_an_earlier_round_or_on_none():
    keeper = ProposalKeeper()
    for pol_round, is_wanted in ((-2, False), (-1, True), (0, True), (2, True), (3, False), (4, False)):
        assert keeper.wants(signed(3, "A", pol_round), is_voted_for=True) is is_wanted


def test_a_proposal_is_valid_with_the_accepted_block_s_parts_only():
    keeper = ProposalKeeper()
    right, wrong = signed(0, "A"), signed(0, "A", parts="X")
    assert (keeper.is_valid(right), keeper.is_valid(wrong)) == (None, None)
    keeper.refuse(block_hash("A"), parts_of("X"))
    assert (keeper.is_valid(right), keeper.is_valid(wrong)) == (None, False)
    keeper.accept(block_hash("A"), AcceptedBlock(parts_of("A"), STAMP))
    assert (keeper.is_valid(right), keeper.is_valid(wrong)) == (True, False)
    assert keeper.accepted(block_hash("A")).timestamp == STAMP
    assert keeper.accepted(block_hash("B")) is None


def test_the_first_acceptance_counts():
    keeper = ProposalKeeper()
    keeper.accept(block_hash("A"), AcceptedBlock(parts_of("A"), STAMP))
    keeper.accept(block_hash("A"), AcceptedBlock(parts_of("X"), STAMP + 1))
    assert keeper.accepted(block_hash("A")) == AcceptedBlock(parts_of("A"), STAMP)


def test_a_round_has_a_valid_proposal_of_a_block_or_has_not():
    keeper = ProposalKeeper()
    keeper.accept(block_hash("A"), AcceptedBlock(parts_of("A"), STAMP))
    keeper.add(signed(1, "A", parts="X"), IN_TIME)
    assert not keeper.has_valid(1, block_hash("A"))
    keeper.add(signed(1, "A"), IN_TIME)
    assert keeper.has_valid(1, block_hash("A"))
    assert not keeper.has_valid(1, block_hash("B"))
    assert not keeper.has_valid(0, block_hash("A"))
