"""Four validators make snapshots; a fifth node begins with one, is killed half way, resumes, and follows the chain."""

from __future__ import annotations

import json
import signal

import pytest

from cybermiles.node.data_dir import DataDir
from cybermiles.node.testnet import find_homes
from tests.e2e.network.cluster import FAST, Cluster, Node, free_ports

pytestmark = pytest.mark.e2e

PROGRAM = "tests.e2e.network.snapshotting"
SNAPSHOTS = {
    "CMT_STATE_SYNC__SNAPSHOT_INTERVAL": "20",
    "CMT_STATE_SYNC__KEEP_SNAPSHOTS": "16",
    "CMT_LOG__FORMAT": "json",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Four validators at a height with a snapshot; the last of them serves wrong chunks."""
    directory = tmp_path_factory.mktemp("state-sync") / "net"
    with Cluster(directory, params=(), environment=FAST | SNAPSHOTS) as cluster:
        cluster.create()
        for node in cluster.nodes:
            node.module = (PROGRAM,)
        cluster.nodes[-1].module = (PROGRAM, "--spoil")
        cluster.start()
        cluster.wait_for(lambda: all(logged(node, "snapshot_made") for node in cluster.nodes), "a snapshot everywhere")
        cluster.wait_for_blocks(2)
        yield cluster


def logged(node, event):
    """Return the lines of a node's log about an event."""
    return [line for line in node.log_path.read_text(errors="replace").splitlines() if event in line]


def wait_for_a_fresh_snapshot(cluster):
    """Return once everybody, the liar too, has made the newest snapshot, and the next one is not due soon."""

    def is_fresh():
        newest = {json.loads(logged(node, "snapshot_made")[-1])["height"] for node in cluster.nodes}
        return len(newest) == 1 and 2 <= cluster.height() - max(newest) <= 8

    cluster.wait_for(is_fresh, "a snapshot that everybody has")


def newcomer(cluster, name, **settings):
    """Return a node without a chain that may begin with a snapshot."""
    home = cluster.directory.parent / name
    directory = DataDir(home)
    directory.create_keys()
    directory.create_chain(find_homes(cluster.directory)[0].load_genesis())
    first = free_ports(2)
    lines = [
        "[rpc]",
        f"port = {first}",
        'namespaces = ["eth", "net", "web3", "cmt", "txpool", "debug"]',
        "[log]",
        'format = "json"',
        "[p2p]",
        'listen_host = "127.0.0.1"',
    ]
    lines += [f"listen_port = {first + 1}", "allow_private_addresses = true"]
    lines += [f"persistent_peers = {json.dumps([node.p2p for node in cluster.nodes])}", "[state_sync]"]
    lines += ["enabled = true", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    directory.config.write_text("\n".join(lines))
    planned = {"name": name, "home": str(home), "rpc": f"http://127.0.0.1:{first}", "p2p": "", "validator": ""}
    return Node(cluster, planned)


def test_a_wrong_checkpoint_is_refused_in_words(cluster):
    node = newcomer(cluster, "wrong", trust_height=2, trust_hash="0x" + "ab" * 32).start()
    assert node.process.wait(120) != 0
    node.process = None
    assert "no peer has the checkpoint" in node.tail()
    assert "state_sync.trust_hash" in node.tail()
    assert not DataDir(node.home).chain.exists()


def test_a_killed_state_sync_resumes_and_the_node_follows(cluster):
    trusted = cluster.nodes[0].block_hash(2)
    wait_for_a_fresh_snapshot(cluster)
    node = newcomer(cluster, "fifth", trust_height=2, trust_hash=trusted)
    node.module = (PROGRAM, "--die-after", "7", "--peers", "4")
    node.start()
    assert node.process.wait(120) == -signal.SIGKILL
    node.process = None
    assert not DataDir(node.home).chain.exists()
    (snapshot,) = DataDir(node.home).incoming.iterdir()
    kept = [path.name for path in snapshot.iterdir() if path.name.isdigit()]
    assert len(kept) >= 7

    node.module = (PROGRAM,)
    node.start()
    cluster.nodes.append(node)
    try:
        cluster.wait_for(lambda: node.status() is not None, "the fifth node serves")
        begun = json.loads(logged(node, '"state_syncing"')[-1])
        assert begun["height"] == int(snapshot.name)
        assert begun["missing"] == begun["chunks"] - len(kept), "what was kept is not asked for again"
        assert logged(node, "wrong_chunk"), "a liar was among those asked"
        cluster.wait_for_blocks(3, [node])
        base = begun["height"]
        assert node.block_hash(base) == cluster.nodes[0].block_hash(base)
        assert node.block_hash(base + 2) == cluster.nodes[0].block_hash(base + 2)
        assert not DataDir(node.home).incoming.exists()
        assert_absent_blocks_are_said_to_be_absent(node, base)
        node.stop()
        node.start()
        cluster.wait_for(lambda: node.status() is not None, "it starts from what it restored")
        cluster.wait_for_blocks(2, [node])
    finally:
        cluster.nodes.remove(node)
        if node.runs:
            node.kill()


def assert_absent_blocks_are_said_to_be_absent(node, base):
    """Blocks below the snapshot are not there, and no answer pretends otherwise."""
    assert node.rpc("eth_getBlockByNumber", hex(base - 1), False) is None
    assert node.rpc("eth_getBlockByNumber", hex(base), False) is not None
    assert node.rpc("eth_getBlockByNumber", "earliest", False)["number"] == "0x0"
    assert int(node.rpc("eth_feeHistory", "0x400", "latest", [])["oldestBlock"], 16) == base
    assert node.rpc("eth_capabilities")["blocks"]["oldestBlock"] == hex(base)
    absent, account = hex(base - 1), "0x" + "11" * 20
    for method, *params in (
        ("eth_getBlockReceipts", absent),
        ("eth_getBlockTransactionCountByNumber", absent),
        ("eth_getTransactionByBlockNumberAndIndex", absent, "0x0"),
        ("eth_getBalance", account, absent),
        ("eth_call", {"to": account}, absent),
        ("eth_getProof", account, [], absent),
        ("eth_getLogs", {"fromBlock": absent, "toBlock": "latest"}),
        ("debug_traceBlockByNumber", absent, {}),
        ("debug_getRawBlock", absent),
        ("debug_getRawReceipts", absent),
    ):
        answer = ask(node, method, *params)
        assert answer.get("result") is None, (method, answer)
        assert answer.get("error", {}).get("code") not in {-32601, -32602, -32603}, (method, answer)


def ask(node, method, *params):
    """Return the whole answer, an error too."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return json.loads(node.get("/", body))
