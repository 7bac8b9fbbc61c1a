"""Networks of consensus reactors on a virtual clock: how often votes and parts arrive, and when."""

from __future__ import annotations

import pytest

from cybermiles.p2p.reactors.consensus import TICK_MS, ConsensusReactor
from tests.fakes.gossip import Network, regular_graph
from tests.fakes.validators import MiniConsensus, validator_set
from tests.simulation.latency import zone_matrix

MEGABYTES_4 = 4 * 1024 * 1024


def build(count, edges, latency, *, bytes_per_ms=1e6, block_bytes=1000, gap_ms=1000):
    net = Network(ConsensusReactor.channels, soon_ms=TICK_MS)
    validators = validator_set(count)
    nodes = [MiniConsensus(i, validators, block_bytes=block_bytes, gap_ms=gap_ms, net=net) for i in range(count)]
    for node in nodes:
        node.reactor = ConsensusReactor(node, net.clock)
        net.add(str(node.index), node.reactor)
    for one, other in edges:
        net.connect(str(one), str(other), latency(one, other), bytes_per_ms)
    for node in nodes:
        net.at(50, node.start)
    return net, nodes


def run(net, nodes, heights):
    net.run(until_ms=heights * 60_000, stop=lambda: all(node.height > heights for node in nodes))
    assert min(node.height for node in nodes) > heights
    assert net.drops == []


def zones(one, other):
    return zone_matrix()[one % 13][other % 13]


def vote_ratio(node):
    return sum(node.received_votes.values()) / node.unique_votes


def part_ratio(nodes):
    return sum(node.part_bytes for node in nodes) / sum(node.unique_part_bytes for node in nodes)


def mean_vote_ratio(nodes):
    return sum(map(vote_ratio, nodes)) / len(nodes)


def forget_counts(nodes):
    for node in nodes:
        node.received_votes.clear()
        node.unique_votes = 0


@pytest.mark.slow
@pytest.mark.parametrize("latency", [zones, lambda one, other: 1], ids=["13 zones", "one room"])
def test_21_validators_with_8_peers_receive_each_vote_at_most_three_times(latency):
    net, nodes = build(21, regular_graph(21, 8), latency)
    run(net, nodes, 8)
    assert mean_vote_ratio(nodes) <= 3  # with the first heights, in which every way is tried
    forget_counts(nodes)
    run(net, nodes, 12)
    assert mean_vote_ratio(nodes) <= 2.2


@pytest.mark.slow
def test_21_validators_that_all_know_each_other_stop_repeating_what_the_others_heard_first_hand():
    net, nodes = build(21, regular_graph(21, 20), zones)
    run(net, nodes, 6)
    forget_counts(nodes)
    run(net, nodes, 9)
    assert mean_vote_ratio(nodes) <= 3


def test_four_validators_send_each_vote_once():
    net, nodes = build(4, regular_graph(4, 3), lambda one, other: 1, gap_ms=0)
    run(net, nodes, 20)
    assert max(map(vote_ratio, nodes)) <= 1.3
    assert part_ratio(nodes) <= 1.3


@pytest.mark.parametrize("latency_ms", [1, 20])
def test_a_block_of_4_mb_flows_through_a_line_of_10_almost_as_fast_as_over_one_link(latency_ms):
    link = 2_500  # bytes a millisecond: 20 Mbit/s
    net, nodes = build(
        10, [(i, i + 1) for i in range(9)], lambda one, other: latency_ms, bytes_per_ms=link, block_bytes=MEGABYTES_4
    )
    run(net, nodes, 1)
    started = min(node.complete_at[1] for node in nodes)
    proposer = next(node for node in nodes if node.complete_at[1] == started)
    single_hop = MEGABYTES_4 / link + latency_ms
    longest_way = max(proposer.index, 9 - proposer.index)
    assert longest_way >= 5
    assert max(node.complete_at[1] for node in nodes) - started <= 2 * single_hop
    assert part_ratio(nodes) <= 1.3


@pytest.mark.slow
def test_a_block_of_4_mb_reaches_a_mesh_of_21_faster_than_any_single_link_could_carry_it():
    link = 2_500
    net, nodes = build(21, regular_graph(21, 8), zones, bytes_per_ms=link, block_bytes=MEGABYTES_4)
    run(net, nodes, 3)
    for height in (2, 3):
        spread = max(n.complete_at[height] for n in nodes) - min(n.complete_at[height] for n in nodes)
        assert spread < MEGABYTES_4 / link
    assert part_ratio(nodes) <= 3


def test_a_peer_that_brings_nothing_new_for_a_while_is_still_the_reserve():
    """The two fastest ways to a node are cut; the lazy one takes over within the laziness, and becomes eager."""
    # 0 is the origin; 4 hears it through 1, 2 and 3, of which 3 is the slowest.
    edges = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (5, 4), (6, 0)]
    net, nodes = build(7, edges, lambda one, other: 30 if 3 in (one, other) else 5)
    run(net, nodes, 6)
    origin = nodes[0].validators.validators[0].address
    to_three = nodes[4].reactor._peers["3"]
    assert origin in to_three.asked
    net.disconnect("1", "4", "test", None)
    net.disconnect("2", "4", "test", None)
    net.drops.clear()
    run(net, nodes, 10)
    assert origin not in to_three.asked


def test_everything_lost_on_the_way_is_sent_again():
    """Half of all messages vanish; peers that keep announcing what they have get the rest."""
    net, nodes = build(5, regular_graph(5, 4), lambda one, other: 5)
    dropped = 0
    deliver = net.deliver

    def lossy(link, channel, message):
        nonlocal dropped
        if sum(message) % 2:  # a fixed half of the messages, the same whenever the same is said
            if (link.source, link.target) in {("0", "1"), ("2", "3"), ("4", "0")}:
                dropped += 1
                return
        deliver(link, channel, message)

    net.deliver = lossy
    run(net, nodes, 10)
    assert dropped > 20
