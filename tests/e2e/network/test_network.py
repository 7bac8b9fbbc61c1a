"""Four real nodes on this machine: they agree, and go on after whatever happens to a third of them.

Short forms of what `tests.e2e.network.soak` does for minutes. Every test starts from four running nodes, and the last
one audits the disks.
"""

from __future__ import annotations

import random

import pytest
from web3 import Web3

from cybermiles.node.testnet import find_homes
from tests.e2e.conftest import KEYS
from tests.e2e.network import namespaces
from tests.e2e.network.audit import audit
from tests.e2e.network.cluster import QUICK_BLOCKS, Cluster
from tests.e2e.network.soak import Soak

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("network") / "net") as cluster:
        cluster.create()
        yield cluster


@pytest.fixture
def cluster(network):
    """Four nodes that run and move."""
    network.start()
    network.wait_for_blocks(1)
    return network


def test_four_nodes_decide_the_same_blocks_and_say_so(cluster):
    cluster.wait_for_blocks(3)
    cluster.check_same_chain()
    for node in cluster.nodes:
        status = node.status()
        assert status["peers"]["connected"] == 3
        assert status["validator_info"]["address"] == node.validator
        powers = {entry["address"]: int(entry["power"], 16) for entry in node.rpc("cmt_consensusState")["validators"]}
        assert status["validator_info"]["voting_power"] == powers[node.validator] > 0
        assert status["node_info"]["id"] == node.p2p.partition("@")[0]
        assert node.rpc("net_peerCount") == "0x3"
        assert node.rpc("net_listening") is True
        assert node.rpc("eth_syncing") is False
        assert {peer["id"] for peer in node.rpc("cmt_peers")} == {
            other.p2p.partition("@")[0] for other in cluster.nodes if other is not node
        }
        code, page = node.ready("?min_peers=3&max_lag=3")
        assert (code, page["ready"], page["reasons"], page["peers"]) == (200, True, [], 3)
        assert node.metric("cmt_p2p_peers") == 3
        assert node.metric("cmt_consensus_validators") == 4
        assert node.metric("cmt_consensus_committed_evidence_total") == 0


def test_web3_works_against_every_node(cluster):
    for number, node in enumerate(cluster.nodes):
        w3 = Web3(Web3.HTTPProvider(node.url))
        account = w3.eth.account.from_key(KEYS[number])
        transaction = {
            "to": "0x" + "44" * 20,
            "value": 5,
            "gas": 21_000,
            "gasPrice": 0,
            "nonce": w3.eth.get_transaction_count(account.address),
            "chainId": 181818,
        }
        signed = account.sign_transaction(transaction)
        receipt = w3.eth.wait_for_transaction_receipt(
            w3.eth.send_raw_transaction(signed.raw_transaction), poll_latency=0.1
        )
        assert receipt["status"] == 1
        hash_ = "0x" + signed.hash.hex()
        for other in cluster.nodes:
            cluster.wait_for(
                lambda other=other: other.height() >= receipt["blockNumber"], f"{other.name} has the block"
            )
            assert other.rpc("eth_getTransactionReceipt", hash_)["blockHash"] == "0x" + receipt["blockHash"].hex()


def test_one_killed_is_not_missed_and_comes_back(cluster):
    victim = cluster.nodes[1]
    victim.kill()
    goal = cluster.wait_for_blocks(3)
    victim.start()
    cluster.wait_for(lambda: victim.height() >= goal, "the killed node caught up")
    cluster.wait_for_blocks(2)
    cluster.check_same_chain()


def test_all_killed_at_once_go_on_where_they_were(cluster):
    height = cluster.height()
    for node in cluster.nodes:
        node.kill()
    cluster.start()
    cluster.wait_for_blocks(2)
    assert cluster.height() > height
    cluster.check_same_chain()


def test_without_a_third_the_chain_halts_says_why_and_resumes(cluster):
    gone = cluster.nodes[2:]
    for node in gone:
        node.stop()
    watched = cluster.nodes[0]
    cluster.wait_for(lambda: _misses(watched, gone), "the missing are named")
    height = cluster.height()
    cluster.wait_for(lambda: len(watched.ready("?max_age=0&min_peers=3")[1]["reasons"]) == 2, "both reasons")
    status, _ = watched.ready("?max_age=0&min_peers=3")
    assert status == 503
    state = watched.rpc("cmt_consensusState")
    assert state["prevotes"].count("_") >= 2
    assert cluster.height() <= height + 1, "two of four decide nothing"
    gone[0].start()
    cluster.wait_for_blocks(2)
    gone[1].start()
    cluster.wait_for_blocks(2)
    cluster.check_same_chain()


def test_a_node_without_its_data_syncs_and_votes_again(cluster):
    node = cluster.nodes[3]
    node.kill()
    cluster.wait_for_blocks(3)
    node.wipe()
    goal = cluster.height()
    node.start()
    cluster.wait_for(lambda: node.height() >= goal, "the wiped node has every block")
    cluster.wait_for(lambda: node.metric("cmt_consensus_validator_last_signed_height") > goal, "it signs again")
    cluster.check_same_chain()


def test_a_paused_node_is_overtaken_and_catches_up(cluster):
    node = cluster.nodes[0]
    node.pause()
    goal = cluster.wait_for_blocks(5, cluster.nodes[1:])
    node.resume()
    cluster.wait_for(lambda: node.height() >= goal, "the paused node caught up")
    cluster.check_same_chain()


def test_random_kills_do_no_harm(cluster):
    soak = Soak(cluster, random.Random(7), wipe=False)
    soak.run(12)
    cluster.wait_for_blocks(2)
    cluster.check_same_chain()
    assert soak.tally.kills + soak.tally.stops > 2


def test_one_that_signs_twice_is_convicted_by_all_and_the_chain_goes_on(cluster):
    liar = cluster.nodes[2]
    liar.stop()
    honest = liar.module
    liar.module = ("tests.e2e.network.byzantine", "--every", "3")
    liar.start()
    others = [node for node in cluster.nodes if node is not liar]
    cluster.wait_for(
        lambda: all(node.metric("cmt_consensus_committed_evidence_total") >= 1 for node in others),
        "a proof is in a block",
    )
    cluster.wait_for_blocks(3, others)
    for node in others:
        members = [entry["address"] for entry in node.rpc("cmt_consensusState")["validators"]]
        assert liar.validator not in members, "the first proof costs it its seat"
    liar.kill()
    liar.module = honest
    cluster.start()
    cluster.wait_for_blocks(2)
    cluster.check_same_chain()


def test_the_disks_agree_and_only_the_liar_signed_twice(cluster):
    """Last: it stops the network."""
    liar = cluster.nodes[2]
    cluster.stop()
    found = audit(cluster, liars={liar.validator})
    assert found.committed >= 1
    assert set(found.evidence) == {liar.validator}
    assert found.height > 20
    assert len(find_homes(cluster.directory)) == 4


@pytest.fixture
def spaces():
    if not namespaces.available():
        pytest.skip("network namespaces cannot be made here: root and `ip netns` are needed")
    with namespaces.Namespaces(4) as made:
        yield made


def test_a_partition_halts_the_minority_and_heals(spaces, tmp_path):
    hosts = [spaces.address(number) for number in range(4)]
    with Cluster(tmp_path / "net", params=QUICK_BLOCKS, hosts=hosts) as cluster:
        cluster.create()
        namespaces.move_into(cluster, spaces)
        cluster.start()
        cluster.wait_for_blocks(2)
        alone, rest = cluster.nodes[0], cluster.nodes[1:]
        spaces.split([0])
        cluster.wait_for_blocks(5, rest)
        assert alone.height() < cluster.height()
        spaces.heal()
        cluster.wait_for(lambda: alone.height() >= rest[0].height() - 1, "the node that was alone caught up")
        halves = (cluster.nodes[:2], cluster.nodes[2:])
        spaces.split([0, 1])
        for half, other in (halves, halves[::-1]):
            for node in half:
                cluster.wait_for(
                    lambda node=node, other=other: _misses(node, other), f"{node.name} misses the other half"
                )
        spaces.heal()
        cluster.wait_for_blocks(2)
        cluster.check_same_chain()
        cluster.stop()
        audit(cluster)


def _misses(node, others):
    """Whether the node says that it waits for exactly these."""
    said = node.explanation()
    return all(other.name in said for other in others)
