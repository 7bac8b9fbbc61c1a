"""The economy in a network of real processes, through the commands that people type.

Header times run ahead of the clock here: a block takes a fifth of a second and is a second older than the one before.
The tests are one story and run in order:

    a fifth validator declares ─► a delegator moves the order ─► a parameter by vote ─► a theft is paid back
    ─► one is absent, jailed and comes back ─► one signs twice and is barred ─► a late node follows ─► the disks agree
"""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from cybermiles.accounts.keystore import Keystore
from cybermiles.chain.reading import checksum
from cybermiles.cli.funded import TEST_KEYS, funded_accounts
from cybermiles.cli.main import main
from cybermiles.types.transaction_codec import UnsignedTransaction
from tests.e2e.network.audit import audit
from tests.e2e.network.cluster import Cluster, Node, Trouble, free_ports

pytestmark = pytest.mark.e2e
CMT = 10**18
CHAIN_ID = 181_818
ACCOUNTS = [checksum(address) for address in funded_accounts()]
FIFTH, DELEGATOR, THIEF, VICTIM, OTHER_VICTIM = 4, 5, 6, 7, 8
"""Numbers of test accounts; 0 to 3 are the founders' operators."""
PARAMS = (
    "block_interval_ms=200",
    "clock_precision_ms=86400000",
    "validator_size_threshold=1/1",
    "absence_window=60",
    "max_absences=36",
    "jail_seconds=20",
    "gov_notice_seconds=0",
    "gov_voting_seconds=40",
    "gov_timelock_seconds=1",
    "gov_delay_blocks=5",
)


class Story:
    """A network, and what is typed at it."""

    def __init__(self, cluster, wallet):
        self.cluster = cluster
        self.wallet = wallet

    @property
    def node(self):
        """Whom the commands ask: any that runs."""
        return self.cluster.running[0]

    def cmt(self, *arguments, by=None, fails=False):
        """Run a command, signed by a test account where `by` is its number; return its JSON, or stderr where it fails."""
        options = ["--json", "--rpc", self.node.url]
        if by is not None:
            options += ["--home", str(self.wallet), "--password-file", str(self.wallet / "password")]
            options += ["--from", ACCOUNTS[by]]
        result = CliRunner().invoke(main, [*map(str, arguments), *options], env={"CMT_HOME": None, "CMT_RPC": None})
        if fails:
            assert result.exit_code == 1, result.output
            return result.stderr
        if result.exit_code != 0:
            raise Trouble(f"cmt {arguments}: {result.output}{result.stderr} {result.exception!r}")
        return json.loads(result.stdout)

    def validators(self):
        """Return every candidacy by its owner's number."""
        found = self.cmt("stake", "validators")["validators"]
        return {ACCOUNTS.index(validator["owner"]): validator for validator in found}

    def validator(self, number):
        return self.cmt("stake", "validator", ACCOUNTS[number])

    def wait_for(self, condition, what):
        self.cluster.wait_for(condition, what)

    def proposer_of(self, height):
        return int(self.node.rpc("eth_getBlockByNumber", hex(height), False)["miner"], 16)

    def balance(self, number):
        return int(self.node.rpc("eth_getBalance", ACCOUNTS[number], "latest"), 16)

    def transfer(self, sender, to, amount):
        """Send coins; return the transaction's hash. Raises RuntimeError where the node refuses it."""
        nonce = int(self.node.rpc("eth_getTransactionCount", ACCOUNTS[sender], "pending"), 16)
        signed = UnsignedTransaction(
            chain_id=CHAIN_ID,
            nonce=nonce,
            max_fee_per_gas=0,
            max_priority_fee_per_gas=0,
            gas_limit=21_000,
            to=bytes.fromhex(ACCOUNTS[to][2:]),
            value=amount,
        ).sign(bytes.fromhex(TEST_KEYS[sender]))
        return self.node.rpc("eth_sendRawTransaction", "0x" + signed.raw.hex())

    def included(self, tx_hash):
        return self.node.rpc("eth_getTransactionReceipt", tx_hash) is not None

    def status_of(self, proposal):
        return self.cmt("gov", "show", proposal)["proposal"]["status"]


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    directory = tmp_path_factory.mktemp("economy")
    wallet = directory / "wallet"
    keystore = Keystore(wallet / "keystore", iterations=2)
    for number, key in enumerate(TEST_KEYS):
        keystore.add(bytes.fromhex(key), "password", f"2026-01-01T00:00:{number:02}Z")
    (wallet / "password").write_text("password\n")
    with Cluster(directory / "net", params=PARAMS) as cluster:
        cluster.create().start()
        cluster.wait_for_blocks(2)
        yield Story(cluster, wallet)


def add_node(cluster):
    """Start a node with keys of its own that knows the others; return it once it is in step."""
    home, (rpc, p2p) = (
        cluster.directory / f"node{len(cluster.nodes)}",
        (lambda first: (first, first + 1))(free_ports(2)),
    )
    genesis = cluster.nodes[0].home / "genesis.json"
    made = CliRunner().invoke(main, ["init", "--home", str(home), "--genesis", str(genesis), "--json"])
    assert made.exit_code == 0, made.output
    peers = ", ".join(f'"{node.p2p}"' for node in cluster.nodes)
    (home / "config.toml").write_text(
        f'[node]\nnetwork = "devnet"\n\n[rpc]\nport = {rpc}\n\n[p2p]\nmoniker = "{home.name}"\nlisten_host = "127.0.0.1"\n'
        f"listen_port = {p2p}\nallow_private_addresses = true\npersistent_peers = [{peers}]\n"
    )
    id_ = CliRunner().invoke(main, ["node", "show-id", "--home", str(home), "--json"])
    address = f"{json.loads(id_.stdout)['id']}@127.0.0.1:{p2p}"
    url = f"http://127.0.0.1:{rpc}"
    node = Node(cluster, {"name": home.name, "home": str(home), "rpc": url, "p2p": address, "validator": ""})
    cluster.nodes.append(node)
    cluster.start()
    cluster.wait_for(lambda: node.height() >= cluster.nodes[0].height() - 1 > 0, "the new node is in step")
    node.validator = node.status()["validator_info"]["address"]
    return node


def test_a_fifth_validator_declares_is_elected_and_proposes(story):
    assert sorted(story.validators()) == [0, 1, 2, 3]
    node = add_node(story.cluster)
    before = story.node.height()
    declared = story.cmt(
        *("stake", "declare", 10_000_000, "10%", "--stake", 1_000_000, "--name", "Fifth", "--node-home", node.home),
        by=FIFTH,
    )
    assert [event["name"] for event in declared["events"]] == ["CandidacyDeclared"]
    story.wait_for(lambda: story.validators()[FIFTH]["role"] == "Validator", "the fifth is elected")
    fifth = int(ACCOUNTS[FIFTH], 16)
    story.wait_for(lambda: story.proposer_of(story.node.height()) == fifth, "the fifth proposes")
    for other in story.cluster.nodes:
        names = {entry["description"]["name"] for entry in other.rpc("cmt_queryValidators")["data"]}
        assert names == {"node0", "node1", "node2", "node3", "Fifth"}
        assert len(other.rpc("cmt_queryValidators", before)["data"]) == 4
        assert len(other.rpc("cmt_consensusState")["validators"]) == 5


def test_a_delegator_moves_the_order(story):
    ranks = {number: validator["rank"] for number, validator in story.validators().items() if number}
    last = max(ranks, key=ranks.get)
    sent = story.cmt("stake", "delegate", ACCOUNTS[last], 500_000, by=DELEGATOR)
    assert (sent["fee"], sent["lane"]) == ("0", "free")
    story.wait_for(lambda: story.validators()[last]["rank"] == 1, "it is the first")
    assert story.validators()[last]["votingPower"] >= 1500
    (delegation,) = story.cmt("stake", "delegations", ACCOUNTS[DELEGATOR])["delegations"]
    assert int(delegation["principal"]) == 500_000 * CMT

    def votes_with_it(node):
        powers = {entry["operator"]: int(entry["power"], 16) for entry in node.rpc("cmt_consensusState")["validators"]}
        return powers[ACCOUNTS[last]] >= 1500

    story.wait_for(lambda: all(map(votes_with_it, story.cluster.nodes)), "every node counts its votes so")
    moved = story.cmt("stake", "redelegate", ACCOUNTS[last], ACCOUNTS[0], 400_000, by=DELEGATOR)
    assert [event["name"] for event in moved["events"]] == ["Redelegated"]
    story.wait_for(lambda: story.validators()[0]["rank"] == 1, "another one is the first")


def test_a_vote_changes_a_parameter_on_all_nodes_at_once(story):
    proposed = story.cmt("gov", "propose-param", "free_slots_per_block", 150, "--title", "More", by=DELEGATOR)
    (event,) = proposed["events"]
    proposal = event["arguments"]["id"]
    for number in range(4):
        story.cmt("gov", "vote", proposal, "yes", by=number)
    story.cmt("gov", "vote", proposal, "no", by=DELEGATOR)
    story.wait_for(lambda: story.status_of(proposal) == "Executed", "it is executed")
    history = story.cmt("gov", "param", "free_slots_per_block")["history"]
    changed = history[-1]["fromBlock"]
    story.wait_for(lambda: all(node.height() >= changed for node in story.cluster.nodes), "every node is there")
    for node in story.cluster.nodes:
        values = [node.rpc("cmt_queryParams", changed + shift)["data"]["free_slots_per_block"] for shift in (-2, -1, 0)]
        assert values == ["100", "150", "150"], "the state before a block decides its parameters"
    logs = story.node.rpc("eth_getLogs", {"fromBlock": "0x1", "address": "0x" + "0" * 34 + "434d04"})
    assert any(int(log["transactionHash"], 16) == 0 for log in logs), "what the end of a block did is found too"


def test_a_theft_is_frozen_voted_on_and_paid_back(story, tmp_path):
    stolen = {VICTIM: 3000 * CMT, OTHER_VICTIM: 1000 * CMT}
    for victim, amount in stolen.items():
        tx_hash = story.transfer(victim, THIEF, amount)
        story.wait_for(lambda tx_hash=tx_hash: story.included(tx_hash), "the theft happened")
    losses = {victim: story.balance(victim) for victim in stolen}
    listed = tmp_path / "victims.csv"
    listed.write_text("".join(f"{ACCOUNTS[victim]},{amount // CMT}\n" for victim, amount in stolen.items()))
    proposed = story.cmt(
        *("gov", "propose-recovery", ACCOUNTS[THIEF], 4000, "--victims", listed, "--title", "A theft"), by=DELEGATOR
    )
    proposal = proposed["events"][0]["arguments"]["id"]
    story.cmt("gov", "hold", proposal, by=0)
    assert story.cmt("gov", "frozen")["frozen"] == []
    story.cmt("gov", "hold", proposal, by=1)
    (frozen,) = story.cmt("gov", "frozen")["frozen"]
    assert frozen["account"] == ACCOUNTS[THIEF]
    story.cluster.wait_for_blocks(1)
    with pytest.raises(RuntimeError, match="account frozen"):
        story.transfer(THIEF, DELEGATOR, CMT)
    for number in range(4):
        story.cmt("gov", "vote", proposal, "yes", by=number)
    had = story.balance(THIEF)
    story.wait_for(lambda: story.status_of(proposal) == "Executed", "it is executed")
    assert story.balance(THIEF) == had - 4000 * CMT
    assert story.cmt("gov", "frozen")["frozen"] == []
    for victim, amount in stolen.items():
        story.cmt("gov", "claim", proposal, ACCOUNTS[victim], amount // CMT, "--victims", listed, by=DELEGATOR)
        assert story.balance(victim) == losses[victim] + amount
    again = ("gov", "claim", proposal, ACCOUNTS[VICTIM], 3000, "--victims", listed)
    assert "was paid already" in story.cmt(*again, by=THIEF, fails=True)
    story.transfer(THIEF, DELEGATOR, CMT)


def test_one_that_is_absent_is_jailed_and_comes_back(story):
    absent, number = story.cluster.nodes[3], 3
    stake = int(story.validators()[number]["stake"])
    absent.stop()
    story.wait_for(lambda: story.node.rpc("cmt_queryAbsentValidators")["data"]["Validators"], "its absence is counted")
    story.wait_for(lambda: story.validators()[number]["jailedUntil"], "it is jailed")
    jailed = story.validator(number)
    assert jailed["validator"]["role"] == "Candidate"
    assert [slash["fault"] for slash in jailed["slashes"]] == ["Absence"]
    assert int(jailed["slashes"][0]["amount"]) >= stake // 1000
    assert "is jailed; it may activate again from" in story.cmt("stake", "activate", by=number, fails=True)
    story.cluster.start()
    until = jailed["validator"]["jailedUntil"]

    def is_free():
        newest = story.node.rpc("eth_getBlockByNumber", "latest", False)
        return int(newest["timestamp"], 16) > until and absent.height() >= story.node.height() - 1

    story.wait_for(is_free, "its time is over and it is in step")
    assert "the owner's own stake would be" in story.cmt("stake", "activate", by=number, fails=True)
    story.cmt("stake", "delegate", ACCOUNTS[number], 2000, by=number)
    story.cmt("stake", "activate", by=number)
    back = story.node.height()
    story.wait_for(lambda: story.validator(number)["signing"]["lastSigned"] > back, "it signs again")
    assert story.validators()[number]["role"] == "Validator"


def test_one_that_signs_twice_is_slashed_and_barred(story):
    liar, number = story.cluster.nodes[2], 2
    stake = int(story.validators()[number]["stake"])
    liar.stop()
    honest = liar.module
    liar.module = ("tests.e2e.network.byzantine", "--every", "3")
    story.cluster.start()
    story.wait_for(lambda: story.validators()[number]["tombstoned"], "it is barred")
    liar.kill()
    liar.module = honest
    found = story.validator(number)
    faults = {slash["fault"]: slash for slash in found["slashes"]}
    lost = int(faults["DoubleVote"]["amount"])
    assert stake // 20 <= lost <= stake * 51 // 1000
    assert found["validator"]["role"] == "Candidate"
    assert "barred for ever" in story.cmt("stake", "activate", by=number, fails=True)
    assert int(story.cmt("stake", "supply")["burnt"]) >= lost
    story.wait_for(lambda: len(story.node.rpc("cmt_consensusState")["validators"]) == 4, "the others decide without it")
    story.cluster.wait_for_blocks(3)


def test_a_node_that_comes_late_follows_every_set_and_parameter(story):
    late = add_node(story.cluster)
    story.cluster.wait_for_blocks(2)
    newest = late.height()
    asked = [("cmt_queryValidators", newest), ("cmt_queryParams", newest), ("cmt_queryProposals", newest)]
    asked += [("cmt_queryAwardInfos", height) for height in (1, newest // 2, newest)]
    for method, height in asked:
        answers = [node.rpc(method, height) for node in story.cluster.nodes]
        assert answers == [answers[0]] * 6, method


def test_the_disks_agree_and_only_the_liar_signed_twice(story):
    """Last: it stops the network."""
    story.cluster.check_same_chain()
    story.cluster.stop()
    liar = story.cluster.nodes[2]
    found = audit(story.cluster, liars={liar.validator})
    assert set(found.evidence) == {liar.validator}
