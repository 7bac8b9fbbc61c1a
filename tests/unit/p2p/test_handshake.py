"""The handshake against fixed vectors, an independent key schedule, and everything a man in the middle can do."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cybermiles.crypto import x25519
from cybermiles.errors import ProtocolViolation
from cybermiles.p2p.handshake import MAGIC, MAX_SEALED_BYTES, Established, HandshakeRefused, Identified
from cybermiles.p2p.identity import PeerAddress
from cybermiles.p2p.node_info import Refusal, RefusalCode
from cybermiles.p2p.scoring import Offence, PeerViolation
from tests.fakes.links import ALICE, BOB, EPHEMERALS, EVE, Role, info, initiator, messages, responder

SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
VECTOR = {
    "messages": [
        "a10e172f12a7f7b26a3a4d6d786957fa3d3f202ad80b56fe9017ce375924bcfb",
        "aabded4a67a08797ad2a6cf3d1816c5873b85cd22f84279e75d5bb2765f969c2",
        "eb93bf0c966bdbefe5a10f335952cf96c2eb9f60ace0d0cbb9a24b05b8a90459",
        "5935e85b951ec2289df8dff5267a574adf9f16395d565ca026b20a7d6be7b6bf",
    ],
    "initiator": "219b4672d54b36665b9634f941c3447fdb7d3865948781483e982b93d82c36e5",
    "responder": "16921de21f22f915c8c7f015e24332993be9e383bbba88b2ba27a59d38d0657c",
}
"""SHA-256 of each message and the traffic keys. A change of these bytes is a change of the protocol, and `PROTOCOL_VERSION` has to change with it."""


def test_two_nodes_agree_on_keys_and_on_each_other():
    one, two = initiator(), responder(moniker="bob")
    two.receive(one.data_to_send())
    assert one.receive(two.data_to_send()) == Identified(BOB.id, info(moniker="bob"))
    assert one.accept() is None
    assert two.receive(one.data_to_send()) == Identified(ALICE.id, info())
    second = two.accept()
    first = one.receive(two.data_to_send())
    assert (first.send_key, first.receive_key) == (second.receive_key, second.send_key)
    assert first.send_key != first.receive_key


def test_the_bytes_are_those_of_the_fixed_vector():
    first, _, seen = messages(initiator(), responder())
    assert [hashlib.sha256(message).hexdigest() for message in seen] == VECTOR["messages"]
    assert (first.send_key.hex(), first.receive_key.hex()) == (VECTOR["initiator"], VECTOR["responder"])


def test_the_key_schedule_is_the_documented_one():
    first, _, seen = messages(initiator(), responder())

    def mix(state, data):
        return hashlib.sha256(state + data).digest()

    def expand(key, purpose):
        return hmac.digest(key, purpose + b"\x01", "sha256")

    h2 = mix(
        mix(hashlib.sha256(b"cybermiles p2p: X25519 ed25519 HKDF-SHA256 ChaCha20-Poly1305 v1").digest(), seen[0]),
        seen[1][:32],
    )
    h4 = mix(mix(h2, seen[1][34:]), seen[2][2:])
    secret = x25519.shared_secret(EPHEMERALS[Role.INITIATOR], seen[1][:32])
    master = hmac.digest(h2, secret, "sha256")
    assert first.send_key == expand(master, b"traffic initiator" + h4)
    assert first.receive_key == expand(master, b"traffic responder" + h4)


@given(st.data())
def test_it_does_not_matter_how_the_bytes_are_split(data):
    one, two = initiator(), responder()

    def feed(target, message):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(message)), max_size=4)))
        events = [target.receive(message[a:b]) for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True) if b > a]
        return events[-1]

    feed(two, one.data_to_send())
    assert isinstance(feed(one, two.data_to_send()), Identified)
    one.accept()
    assert isinstance(feed(two, one.data_to_send()), Identified)
    two.accept()
    assert isinstance(feed(one, two.data_to_send()), Established)


def test_a_message_cut_anywhere_leads_to_nothing():
    _, _, seen = messages(initiator(), responder())
    for index, message in enumerate(seen):
        for size in range(len(message)):
            one, two = initiator(), responder()
            target = (two, one, two, one)[index]
            if index >= 1:
                two.receive(one.data_to_send())
            if index >= 2:
                one.receive(two.data_to_send())
                one.accept()
            if index >= 3:
                two.receive(one.data_to_send())
                two.accept()
            assert target.receive(message[:size]) is None


@pytest.mark.parametrize("index", [1, 2, 3, 4])
def test_no_changed_byte_leads_to_a_link(index):
    _, _, seen = messages(initiator(), responder())
    for position in range(len(seen[index - 1])):

        def flip(at, message, position=position):
            if at != index:
                return message
            return message[:position] + bytes([message[position] ^ 1]) + message[position + 1 :]

        with pytest.raises((ProtocolViolation, AssertionError)):
            messages(initiator(), responder(), flip)


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_keys_of_small_order_are_refused_by_both_sides(point):
    with pytest.raises(PeerViolation, match="small order"):
        responder().receive(MAGIC + bytes.fromhex(point))
    with pytest.raises(PeerViolation, match="small order"):
        initiator().receive(bytes.fromhex(point))


def test_ones_own_key_coming_back_is_refused():
    one = initiator()
    with pytest.raises(PeerViolation, match="own ephemeral key"):
        one.receive(one.data_to_send()[len(MAGIC) :])
    with pytest.raises(PeerViolation, match="own ephemeral key"):
        responder().receive(MAGIC + x25519.public_key(EPHEMERALS[Role.RESPONDER]))


def test_recorded_messages_are_worthless_in_another_connection():
    _, _, seen = messages(initiator(), responder())
    victim = initiator(ephemeral=b"\x33" * 32)
    with pytest.raises(PeerViolation, match="not sealed with this key"):
        victim.receive(seen[1])
    victim = responder(ephemeral=b"\x44" * 32)
    victim.receive(seen[0])
    with pytest.raises(PeerViolation, match="not sealed with this key"):
        victim.receive(seen[2])


def test_an_identity_cannot_be_carried_into_another_connection():
    """Eve answers Alice with what Bob says to Eve: she can seal it, but Bob signed another transcript."""
    towards_bob, bob = initiator(EVE), responder()
    bob.receive(towards_bob.data_to_send())
    towards_bob.receive(bob.data_to_send()[:32])
    stolen = None

    def keep(fields):
        nonlocal stolen
        stolen = fields

    towards_bob, bob = initiator(EVE), responder()
    original = towards_bob._check_identity
    towards_bob._check_identity = lambda fields, signed: (keep(fields), original(fields, signed))[1]
    bob.receive(towards_bob.data_to_send())
    towards_bob.receive(bob.data_to_send())

    towards_alice, alice = responder(EVE, ephemeral=b"\x55" * 32), initiator(ephemeral=b"\x66" * 32)
    towards_alice._send_identity = lambda: towards_alice._seal(stolen)
    towards_alice.receive(alice.data_to_send())
    with pytest.raises(PeerViolation, match="signature over the transcript is false"):
        alice.receive(towards_alice.data_to_send())


def test_another_node_at_the_dialed_address_is_refused_and_learns_nothing():
    one, two = initiator(expected=EVE), responder()
    two.receive(one.data_to_send())
    with pytest.raises(HandshakeRefused, match=f"dialed {EVE.id}, reached {BOB.id}") as refused:
        one.receive(two.data_to_send())
    assert (refused.value.refusal.code, refused.value.by_peer) == (RefusalCode.WRONG_ID, False)
    with pytest.raises(HandshakeRefused, match="the peer refused: dialed") as told:
        two.receive(one.data_to_send())
    assert told.value.by_peer


@pytest.mark.parametrize(
    ("difference", "code", "phrase"),
    [
        ({"chain_id": 19}, RefusalCode.WRONG_CHAIN, "chain id 19, ours is 18"),
        ({"genesis_hash": b"\x08" * 32}, RefusalCode.WRONG_GENESIS, "genesis 0808"),
        ({"protocol_version": 2}, RefusalCode.INCOMPATIBLE, "protocol version 2, we speak 1"),
        ({"channels": (3, 4)}, RefusalCode.INCOMPATIBLE, "no channel in common"),
    ],
)
def test_a_node_of_another_network_is_told_why_it_is_refused(difference, code, phrase):
    one, two = initiator(), responder(**difference)
    two.receive(one.data_to_send())
    with pytest.raises(HandshakeRefused, match=phrase) as refused:
        one.receive(two.data_to_send())
    assert refused.value.refusal.code is code
    with pytest.raises(HandshakeRefused, match=f"the peer refused: .*{phrase}"):
        two.receive(one.data_to_send())


def test_a_node_that_reaches_itself_is_told_so():
    one, two = initiator(expected=None), responder(ALICE)
    two.receive(one.data_to_send())
    with pytest.raises(HandshakeRefused, match="reached itself"):
        one.receive(two.data_to_send())


def test_a_full_node_refers_to_others():
    others = tuple(PeerAddress.parse(f"{EVE.id}@{host}:26656") for host in ("1.2.3.4", "[2600::1]"))
    one, two = initiator(), responder()
    two.receive(one.data_to_send())
    one.receive(two.data_to_send())
    one.accept()
    two.receive(one.data_to_send())
    error = two.refuse(Refusal(RefusalCode.FULL, "all inbound slots are taken", others))
    assert not error.by_peer
    with pytest.raises(HandshakeRefused, match="slots are taken") as refused:
        one.receive(two.data_to_send())
    assert refused.value.refusal.addresses == others


def test_what_is_not_a_handshake_is_refused_with_its_first_bytes():
    for garbage in (b"G", b"GET / HTTP/1.1\r\n", b"CMT\x02", b"\x16\x03\x01"):
        with pytest.raises(PeerViolation, match="not a cybermiles node") as refused:
            responder().receive(garbage)
        assert refused.value.offence is Offence.BAD_HANDSHAKE


def test_a_length_out_of_bounds_is_refused_before_its_bytes_come():
    for size in (0, 16, MAX_SEALED_BYTES + 1, 65_535):
        one, two = initiator(), responder()
        two.receive(one.data_to_send())
        with pytest.raises(PeerViolation, match=f"message of {size} bytes"):
            two.receive(size.to_bytes(2))


def test_bytes_out_of_turn_are_refused():
    one, two = initiator(), responder()
    two.receive(one.data_to_send())
    reply = two.data_to_send()
    with pytest.raises(PeerViolation, match="out of turn"):
        one.receive(reply + b"\x00")
    one = initiator()
    one.receive(reply)
    with pytest.raises(PeerViolation, match="out of turn"):
        one.receive(b"\x00")


def test_what_follows_the_verdict_belongs_to_the_frames():
    first, _, _ = messages(initiator(), responder(), lambda at, m: m + b"frames" if at == 4 else m)
    assert first.early_data == b"frames"


def test_a_decision_is_made_once_and_only_when_asked():
    with pytest.raises(ValueError, match="once"):
        initiator().accept()
    with pytest.raises(ValueError, match="once"):
        responder().refuse(Refusal(RefusalCode.FULL, ""))
