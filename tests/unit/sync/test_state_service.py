"""State sync against peers that lie in every way there is, in virtual time."""

from __future__ import annotations

import asyncio
import dataclasses
from types import SimpleNamespace

import pytest

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import ConfigError, DecodingError
from cybermiles.snapshots.export import Export
from cybermiles.snapshots.format import pack
from cybermiles.snapshots.rebuild import rebuild
from cybermiles.snapshots.shelf import Shelf
from cybermiles.state.kv import MemoryStore
from cybermiles.sync.light_client import LightClientOptions, Trusted
from cybermiles.sync.snapshot_offers import MAX_OFFERS, Offer, Wanted, decode_offers, encode_offers
from cybermiles.sync.state_service import Checkpoint, StateSync, Tools
from cybermiles.types import rlp
from cybermiles.types.primitives import Hash32
from tests.fakes.consensus import START_MS, LoopClock, VirtualLoop
from tests.fakes.snapshots import StoredChain

HEIGHT = 6


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A chain, and the shelf of an honest peer with a snapshot of some chunks."""
    chain = StoredChain(MemoryStore())
    chain.live(HEIGHT)
    shelf = Shelf(tmp_path_factory.mktemp("origin"))
    records = list(Export(chain.database.store, chain.document.params).records())
    manifest = shelf.create(SimpleNamespace(head=chain.database.chain.head, records=lambda: iter(records)))
    chunks = list(pack(records, 4096))
    manifest = dataclasses.replace(manifest, chunks=tuple(Hash32(keccak256(chunk)) for chunk in chunks))
    for _ in range(3):
        chain.advance()
    return SimpleNamespace(chain=chain, manifest=manifest, chunks=chunks)


class Peer:
    """Answers like an honest node; subclasses lie."""

    def __init__(self, origin):
        self.origin = origin
        self.asked = []

    def answer(self, what, height, index):
        manifest = self.origin.manifest
        if what is Wanted.OFFERS:
            return encode_offers([Offer(manifest.height, manifest.id)])
        if what is Wanted.LIGHT_BLOCK:
            known = height in self.origin.chain.blocks
            return rlp.encode(self.origin.chain.light_block(height).to_item()) if known else b""
        if height != manifest.height:
            return b""
        return manifest.encode() if what is Wanted.MANIFEST else self.origin.chunks[index]


class Lying(Peer):
    """Changes its answers to one question."""

    def __init__(self, origin, what, change):
        super().__init__(origin)
        self.what, self.change = what, change

    def answer(self, what, height, index):
        honest = super().answer(what, height, index)
        return self.change(honest) if what is self.what else honest


class Net:
    """The port `SnapshotPeers`."""

    def __init__(self, clock, **peers):
        self.clock = clock
        self.all = peers
        self.banned = {}
        self.limit = None
        """Chunks that are answered before everything hangs."""
        self.chunks = []

    @property
    def peers(self):
        return tuple(self.all)

    async def ask(self, peer, what, height, index=0):
        await self.clock.sleep(0.01)
        if what is Wanted.CHUNK:
            if self.limit is not None and len(self.chunks) >= self.limit:
                await asyncio.Event().wait()
            self.chunks.append(index)
        return self.all[peer].answer(what, height, index)

    def ban(self, peer, reason):
        self.banned[peer] = reason


class Inline:
    async def run(self, function, *args):
        return function(*args)


def run(coroutine):
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def sync(origin, tmp_path, net, *, trust=None, options=None):
    chain = origin.chain
    header = chain.genesis.header
    trust = trust or Trusted(0, header.hash, header.timestamp, chain.document.validator_set)
    options = options or LightClientOptions(
        chain_id=chain.document.chain_id, genesis_hash=chain.document.hash, trusting_period=10**10
    )
    shelf = Shelf(tmp_path / "incoming")

    async def restore(manifest, successor, commit):
        proof = chain.proof(HEIGHT)._replace(successor=successor, commit=commit)
        return rebuild(shelf, manifest, proof, tmp_path / "chain")

    return StateSync(Tools(peers=net, shelf=shelf, worker=Inline(), clock=net.clock), options, trust, restore)


@pytest.fixture
def clock(origin):
    return LoopClock(offset_ms=origin.chain.genesis.header.timestamp * 1000 + 60_000 - START_MS)


def test_a_state_comes_from_honest_peers(origin, tmp_path, clock):
    net = Net(clock, a=Peer(origin), b=Peer(origin))
    head = run(sync(origin, tmp_path, net).run())
    assert head.block_hash == origin.chain.blocks[HEIGHT][0].hash
    assert sorted(net.chunks) == list(range(len(origin.chunks)))
    assert not net.banned


def test_what_was_kept_is_not_asked_for_again(origin, tmp_path, clock):
    net = Net(clock, a=Peer(origin))
    net.limit = 3

    async def interrupted():
        task = asyncio.ensure_future(sync(origin, tmp_path, net).run())
        while len(net.chunks) < 3:
            await clock.sleep(0.1)
        await clock.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(interrupted())
    again = Net(clock, a=Peer(origin))
    run(sync(origin, tmp_path, again).run())
    assert sorted(net.chunks + again.chunks) == list(range(len(origin.chunks)))


def flipped(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


LIES = {
    "wrong chunk": (Wanted.CHUNK, flipped),
    "manifest that does not decode": (Wanted.MANIFEST, lambda _: b"\xc0"),
    "another manifest": (Wanted.MANIFEST, lambda raw: raw.replace(raw[5:30], b"\x01" * 25, 1)),
    "offers that do not decode": (Wanted.OFFERS, lambda _: b"\x01\x02"),
    "too many offers": (Wanted.OFFERS, lambda _: encode_offers([Offer(1, Hash32(b"\x01" * 32))] * (MAX_OFFERS + 1))),
    "light block that does not decode": (Wanted.LIGHT_BLOCK, lambda _: b"\xc0"),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("names", ["liar honest", "honest liar"])
def test_a_liar_is_banned_and_the_honest_one_suffices(origin, tmp_path, clock, lie, names):
    peers = {"liar": Lying(origin, *LIES[lie]), "honest": Peer(origin)}
    net = Net(clock, **{name: peers[name] for name in names.split()})
    head = run(sync(origin, tmp_path, net).run())
    assert head.height == HEIGHT
    assert set(net.banned) <= {"liar"}
    if lie == "wrong chunk" or names.startswith("liar") or "manifest" not in lie:
        assert "liar" in net.banned


class Forger(Peer):
    """Serves another chain's light block for the proof."""

    def answer(self, what, height, index):
        if what is Wanted.LIGHT_BLOCK and height == HEIGHT + 1:
            block = self.origin.chain.light_block(height)
            header = dataclasses.replace(block.header, parent_hash=Hash32(b"\x05" * 32))
            commit = dataclasses.replace(block.commit, block_hash=header.hash)
            return rlp.encode(dataclasses.replace(block, header=header, commit=commit).to_item())
        return super().answer(what, height, index)


@pytest.mark.parametrize("names", ["liar honest", "honest liar"])
def test_a_forged_light_block_is_noticed_as_proof_and_as_witness(origin, tmp_path, clock, names):
    peers = {"liar": Forger(origin), "honest": Peer(origin)}
    net = Net(clock, **{name: peers[name] for name in names.split()})
    assert run(sync(origin, tmp_path, net).run()).height == HEIGHT
    assert set(net.banned) == {"liar"}


class Garbler(Peer):
    """Serves the snapshot's own light block with a signature that is none."""

    def answer(self, what, height, index):
        if what is Wanted.LIGHT_BLOCK and height == HEIGHT:
            block = self.origin.chain.light_block(height)
            commit = dataclasses.replace(block.commit, signatures=(b"\x07" * 64, *block.commit.signatures[1:]))
            return rlp.encode(dataclasses.replace(block, commit=commit).to_item())
        return super().answer(what, height, index)


def test_a_wrong_commit_of_the_snapshots_block_is_its_suppliers_fault(origin, tmp_path, clock):
    net = Net(clock, liar=Garbler(origin), honest=Peer(origin))
    assert run(sync(origin, tmp_path, net).run()).height == HEIGHT
    assert set(net.banned) == {"liar"}


class Traitors(Peer):
    """The validators themselves signed another block of the height."""

    def answer(self, what, height, index):
        if what is Wanted.LIGHT_BLOCK and height == HEIGHT + 1:
            other = StoredChain(MemoryStore())
            other.live(HEIGHT)
            other.advance(seconds=2)
            return rlp.encode(other.light_block(height).to_item())
        return super().answer(what, height, index)


def test_two_proven_blocks_of_a_height_stop_the_node(origin, tmp_path, clock):
    net = Net(clock, a=Peer(origin), b=Traitors(origin))
    with pytest.raises(ConfigError, match="under attack"):
        run(sync(origin, tmp_path, net).run())
    assert not (tmp_path / "chain").exists()


def test_a_checkpoint_is_enough(origin, tmp_path, clock):
    trust = Checkpoint(2, origin.chain.blocks[2][0].hash)
    assert run(sync(origin, tmp_path, Net(clock, a=Peer(origin)), trust=trust).run()).height == HEIGHT


def test_a_wrong_checkpoint_is_refused(origin, tmp_path, clock):
    net = Net(clock, a=Peer(origin), b=Peer(origin))
    with pytest.raises(ConfigError, match="no peer has the checkpoint"):
        run(sync(origin, tmp_path, net, trust=Checkpoint(2, Hash32(b"\xab" * 32))).run())


def test_expired_trust_is_refused(origin, tmp_path, clock):
    options = LightClientOptions(
        chain_id=origin.chain.document.chain_id, genesis_hash=origin.chain.document.hash, trusting_period=30
    )
    with pytest.raises(ConfigError, match="newer checkpoint"):
        run(sync(origin, tmp_path, Net(clock, a=Peer(origin)), options=options).run())


class WrongContent(Peer):
    """Its chunks have the hashes of its manifest, and its manifest has the proven block; the state is another."""

    def __init__(self, origin):
        super().__init__(origin)
        other = StoredChain(MemoryStore())
        other.live(HEIGHT - 1)
        chunks = list(pack(Export(other.database.store, other.document.params).records(), 4096))
        hashes = tuple(Hash32(keccak256(chunk)) for chunk in chunks)
        manifest = dataclasses.replace(origin.manifest, chunks=hashes)
        self.origin = SimpleNamespace(chain=origin.chain, manifest=manifest, chunks=chunks)


def test_a_state_that_is_not_the_proven_one_is_refused_and_the_next_taken(origin, tmp_path, clock):
    net = Net(clock, liar=WrongContent(origin), twin=WrongContent(origin), honest=Peer(origin))
    head = run(sync(origin, tmp_path, net).run())
    assert head.block_hash == origin.chain.blocks[HEIGHT][0].hash
    assert set(net.banned) == {"liar", "twin"}


def joined_after_a_ban(net, **newcomers):
    ban = net.ban

    def and_they_come(peer, reason):
        ban(peer, reason)
        net.all |= newcomers

    net.ban = and_they_come


def test_a_refused_snapshot_is_not_taken_from_newcomers_either(origin, tmp_path, clock):
    net = Net(clock, liar=WrongContent(origin))
    joined_after_a_ban(net, late=WrongContent(origin), later=WrongContent(origin), honest=Peer(origin))
    run(sync(origin, tmp_path, net).run())
    assert set(net.banned) == {"liar"}
    assert len(net.chunks) == len(WrongContent(origin).origin.chunks) + len(origin.chunks)


def with_manifest(origin, **changes):
    """Return a peer that offers, and delivers, a manifest that is changed."""
    manifest = dataclasses.replace(origin.manifest, **changes)
    return Peer(SimpleNamespace(chain=origin.chain, manifest=manifest, chunks=origin.chunks))


def test_a_snapshot_of_another_block_is_refused_before_a_chunk_is_asked_for(origin, tmp_path, clock):
    net = Net(clock, liar=with_manifest(origin, block_hash=Hash32(b"\xff" * 32)))
    joined_after_a_ban(net, honest=Peer(origin))
    run(sync(origin, tmp_path, net).run())
    assert set(net.banned) == {"liar"}
    assert len(net.chunks) == len(origin.chunks)


def test_a_manifest_that_is_not_the_offered_one_costs_no_honest_peer(origin, tmp_path, clock):
    """With other hashes of chunks, who serves the right ones would look like a liar."""
    other = dataclasses.replace(origin.manifest, chunks=(Hash32(b"\x01" * 32), *origin.manifest.chunks[1:]))
    liar = Lying(origin, Wanted.MANIFEST, lambda _: other.encode())
    net = Net(clock, liar=liar, honest=Peer(origin))
    run(sync(origin, tmp_path, net).run())
    assert set(net.banned) == {"liar"}


def test_snapshots_below_the_checkpoint_are_waited_out(origin, tmp_path, clock):
    trust = Checkpoint(HEIGHT + 2, origin.chain.blocks[HEIGHT + 2][0].hash)
    syncing = sync(origin, tmp_path, Net(clock, a=Peer(origin)), trust=trust)
    with pytest.raises(TimeoutError):
        run(asyncio.wait_for(syncing.run(), 60))


def test_a_block_that_nobody_has_yet_is_waited_for(origin, tmp_path, clock):
    class Young(Peer):
        def answer(self, what, height, index):
            self.asked.append(height)
            if what is Wanted.LIGHT_BLOCK and height == HEIGHT + 1 and self.asked.count(height) < 4:
                return b""
            return super().answer(what, height, index)

    assert run(sync(origin, tmp_path, Net(clock, a=Young(origin))).run()).height == HEIGHT


def test_offers_round_trip():
    offers = (Offer(5, Hash32(b"\x01" * 32)), Offer(0, Hash32(b"\x02" * 32)))
    assert decode_offers(encode_offers(offers)) == offers
    with pytest.raises(DecodingError):
        decode_offers(encode_offers(offers * 9))
