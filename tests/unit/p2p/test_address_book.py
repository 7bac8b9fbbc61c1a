"""The address book: an attacker with many addresses gets few places, few buckets and few of our slots."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.errors import DecodingError
from cybermiles.p2p.address_book import BUCKET_SIZE, MAX_PER_SUBNET, AddressBook
from cybermiles.p2p.config import P2PConfig
from cybermiles.p2p.identity import Endpoint, NodeId, PeerAddress, network_group
from cybermiles.p2p.node_info import NodeInfo
from cybermiles.p2p.recruiting import SEED_BASE_MS, Recruiter
from cybermiles.p2p.slots import Occupant
from cybermiles.runtime.randomness import SeededRandomness

OWN = NodeId("0" * 40)


def address(index, host, port=26_656):
    return PeerAddress(NodeId(f"{index:040x}"), Endpoint(host, port))


def make_book(seed=1, **options):
    return AddressBook(secret=bytes([seed]) * 32, below=SeededRandomness(seed).below, never=(OWN,), **options)


def honest(count, start=1):
    return [address(start + index, f"{11 + index}.{index}.7.9") for index in range(count)]


def sybils(count, start=10_000):
    """`count` ids in two /16 networks."""
    return [
        address(start + index, f"{(52, 54)[index % 2]}.10.{index // 2 % 256}.{1 + index // 512}")
        for index in range(count)
    ]


def fill_slots(book, slots, *, now=1):
    """Connect to what the recruiter chooses until all slots are taken or nobody is left."""
    recruiter = Recruiter(P2PConfig(max_outbound=slots), OWN, book, SeededRandomness(3).below)
    peers: list[Occupant] = []
    while wanted := recruiter.whom_to_dial(now, now, peers, {}, lambda _: False):
        for each in wanted:
            book.succeeded(each, now)
            peers.append(
                Occupant(id=each.id, host=each.endpoint.host, is_outbound=True, is_persistent=False, since_ms=now)
            )
    return peers


@pytest.mark.parametrize(
    ("attackers", "good", "seed"),
    [*((200, 10, seed) for seed in range(20)), *((500, 8, seed) for seed in range(20)), (20_000, 10, 1)],
)
def test_ids_in_two_networks_get_at_most_two_slots(seed, attackers, good):
    book = make_book(seed)
    for each in sybils(attackers):
        book.add(each, "52.10.0.1")
    for each in honest(good):
        book.add(each, "60.1.1.1")
    restarted = make_book(seed)
    restarted.load_json(book.to_json())
    slots = fill_slots(restarted, 8)
    evil = [peer for peer in slots if peer.host.startswith(("52.", "54."))]
    assert len(slots) == 8
    assert len(evil) <= 2
    assert len({network_group(peer.host) for peer in slots}) == 8


def test_one_source_fills_at_most_its_share_of_the_new_addresses():
    book = make_book()
    for index in range(20_000):
        book.add(address(index + 1, f"{1 + index % 99}.{index // 99 % 256}.{index // 30_000}.7"), "52.10.0.1")
    assert len(book) <= 32 * BUCKET_SIZE
    before = len(book)
    for each in honest(50, start=10**6):
        book.add(each, f"{each.endpoint.host}")
    assert len(book) - before >= 40


def test_a_bucket_holds_two_of_a_subnet():
    book = make_book()
    for index in range(250):
        book.add(address(index + 1, f"52.10.1.{index + 1}"), "52.10.0.1")
    per_bucket = Counter(key for key, bucket in book._buckets.items() for _ in bucket)
    assert max(per_bucket.values()) == MAX_PER_SUBNET
    for index in range(250):
        book.succeeded(address(index + 1, f"52.10.1.{index + 1}"), index + 1)
    tried = [bucket for key, bucket in book._buckets.items() if key[0] == "tried"]
    assert all(len(bucket) <= MAX_PER_SUBNET for bucket in tried)
    assert book.entry(NodeId(f"{250:040x}")).is_tried


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "127.0.0.1", "192.168.1.1", "0.0.0.0", "224.0.0.1", "fe80::1", "node.example"]
)
def test_addresses_the_internet_does_not_route_are_not_kept(host):
    assert not make_book().add(address(1, host), "8.8.8.8")


def test_a_closed_network_may_keep_private_addresses():
    book = make_book(allow_private=True)
    assert book.add(address(1, "10.0.0.1"), "10.0.0.2")
    assert book.add(address(2, "127.0.0.1"), "10.0.0.2")
    assert not book.add(address(3, "0.0.0.0"), "10.0.0.2")
    assert not book.add(address(4, "224.0.0.1"), "10.0.0.2")


def test_own_and_private_ids_are_never_kept_and_so_never_told():
    book = AddressBook(secret=b"s", below=SeededRandomness(1).below, never=(OWN, NodeId(f"{5:040x}")))
    assert not book.add(address(0, "8.8.8.8"), "9.9.9.9")
    assert not book.add(address(5, "8.8.8.8"), "9.9.9.9")
    book.succeeded(address(5, "8.8.8.8"), 1)
    assert book.sample(250) == ()


def test_what_strangers_say_does_not_change_the_address_of_a_known_node():
    book = make_book()
    book.add(address(1, "8.8.8.8"), "9.9.9.9")
    assert not book.add(address(1, "66.6.6.6"), "66.6.6.6")
    book.failed(NodeId(f"{1:040x}"), 5)
    assert book.add(address(1, "7.7.7.7"), "9.9.9.9")
    book.succeeded(address(1, "7.7.7.7"), 6)
    book.failed(NodeId(f"{1:040x}"), 7)
    assert not book.add(address(1, "66.6.6.6"), "66.6.6.6")
    assert book.entry(NodeId(f"{1:040x}")).address.endpoint.host == "7.7.7.7"


def test_failing_addresses_wait_longer_and_are_forgotten():
    book, now, tries = make_book(), 0, 0
    book.add(address(1, "8.8.8.8"), "9.9.9.9")
    while len(book):
        if book.choose(now, skip=(), groups=()):
            tries += 1
            book.failed(NodeId(f"{1:040x}"), now)
        now += 1000
    assert tries == 4
    assert now == 211_000
    book.failed(NodeId(f"{1:040x}"), now)


def test_one_that_worked_is_tried_sixteen_times():
    book = make_book()
    book.succeeded(address(1, "8.8.8.8"), 1)
    for _ in range(15):
        book.failed(NodeId(f"{1:040x}"), 1)
    assert len(book) == 1
    book.failed(NodeId(f"{1:040x}"), 1)
    assert len(book) == 0


def test_nobody_is_told_more_than_a_quarter():
    book = make_book()
    for each in honest(200):
        book.add(each, each.endpoint.host)
    told = book.sample(250)
    assert len(told) == len(set(told)) == len(book) // 4
    assert len(book.sample(16)) == 16
    assert book.sample(250) != told


def test_the_file_brings_everything_back():
    book = make_book()
    for each in honest(40):
        book.add(each, "9.9.9.9")
    book.succeeded(honest(1)[0], 7)
    book.failed(honest(2)[1].id, 8)
    book.anchors = tuple(honest(2))
    again = make_book(seed=2)
    again.load_json(book.to_json())
    assert again.to_json() == book.to_json()
    assert again._buckets.keys() == book._buckets.keys()


@given(
    st.one_of(
        st.binary(max_size=60), st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=8)
    )
)
def test_a_damaged_file_is_recognised(content):
    data = (
        content
        if isinstance(content, bytes)
        else json.dumps({"secret": "00", "anchors": [], "addresses": [content]}).encode()
    )
    try:
        make_book().load_json(data)
    except DecodingError:
        pass


def recruiter_of(book, **config):
    return Recruiter(P2PConfig(**config), OWN, book, SeededRandomness(1).below)


def whom(recruiter, peers=(), dialing=(), now=1, banned=()):
    return recruiter.whom_to_dial(now, now, peers, {a.id: a for a in dialing}, lambda a: a in banned)


def test_persistent_peers_come_first_and_outside_the_limit():
    book = make_book()
    fixed = address(900, "node.example")
    for each in honest(20):
        book.add(each, "9.9.9.9")
    recruiter = recruiter_of(book, persistent_peers=(fixed,), max_outbound=3)
    wanted = whom(recruiter)
    assert wanted[0] == fixed
    assert len(wanted) == 4
    assert len(whom(recruiter, dialing=wanted)) == 0
    assert whom(recruiter_of(book, persistent_peers=(fixed,), pex=False)) == [fixed]


def test_anchors_come_before_the_book_and_seeds_after_it():
    anchor, seed = address(901, "99.1.1.1"), address(902, "98.1.1.1")
    book = make_book()
    book.anchors = (anchor,)
    book.add(honest(1)[0], "9.9.9.9")
    recruiter = recruiter_of(book, seeds=(seed,), max_outbound=2)
    assert whom(recruiter) == [anchor, honest(1)[0]]
    recruiter.failed(anchor, 1, 1)
    book.remove(honest(1)[0].id)
    assert whom(recruiter, now=2) == [seed]
    recruiter.failed(seed, 2, 2)
    assert whom(recruiter, now=3) == []
    assert whom(recruiter, now=2 + SEED_BASE_MS) == [seed]


def test_banned_addresses_are_not_dialed():
    book = make_book()
    for each in honest(3):
        book.add(each, "9.9.9.9")
    assert set(whom(recruiter_of(book), banned=honest(2))) == {honest(3)[2]}


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("0.0.0.0:5", "8.8.8.8:5"),
        ("9.9.9.9:6", "9.9.9.9:6"),
        ("name.example:7", "8.8.8.8:7"),
        ("", None),
        ("1.1.1.1:0", None),
    ],
)
def test_an_inbound_peer_is_remembered_where_it_says_it_listens(told, kept):
    book = make_book()
    peer = NodeId(f"{77:040x}")
    recruiter_of(book).learn(peer, NodeInfo(chain_id=1, genesis_hash=bytes(32), listen_address=told), "8.8.8.8")
    entry = book.entry(peer)
    assert (None if entry is None else str(entry.address.endpoint)) == kept
