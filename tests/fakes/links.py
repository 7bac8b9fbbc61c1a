"""Handshakes and sessions between two nodes in memory."""

from __future__ import annotations

from cybermiles.p2p.handshake import Established, Handshake, Identified, Role
from cybermiles.p2p.identity import NodeKey
from cybermiles.p2p.node_info import NodeInfo
from cybermiles.p2p.session import Session

ALICE, BOB, EVE = (NodeKey.from_private(bytes([index]) * 32) for index in (1, 2, 3))
EPHEMERALS = {Role.INITIATOR: b"\x11" * 32, Role.RESPONDER: b"\x22" * 32}


def info(**changes) -> NodeInfo:
    fields = {"chain_id": 18, "genesis_hash": b"\x07" * 32, "channels": (1, 2)} | changes
    return NodeInfo(**fields)


def initiator(key=ALICE, expected=BOB, ephemeral=EPHEMERALS[Role.INITIATOR], **changes) -> Handshake:
    expected_id = None if expected is None else expected.id
    return Handshake(Role.INITIATOR, key=key, ephemeral=ephemeral, info=info(**changes), expected_id=expected_id)


def responder(key=BOB, ephemeral=EPHEMERALS[Role.RESPONDER], **changes) -> Handshake:
    return Handshake(Role.RESPONDER, key=key, ephemeral=ephemeral, info=info(**changes))


def messages(one: Handshake, two: Handshake, change=lambda _index, message: message):
    """Carry the four messages across, each through `change`, and return (established one, established two, messages)."""
    seen = []

    def carry(source):
        message = source.data_to_send()
        seen.append(message)
        return change(len(seen), message)

    two.receive(carry(one))
    assert isinstance(one.receive(carry(two)), Identified)
    one.accept()
    assert isinstance(two.receive(carry(one)), Identified)
    second = two.accept()
    first = one.receive(carry(two))
    assert isinstance(first, Established)
    assert isinstance(second, Established)
    return first, second, seen


def session_pair(channels, peer_channels=None) -> tuple[Session, Session]:
    first, second, _ = messages(initiator(), responder())
    ids = [spec.id for spec in channels] if peer_channels is None else peer_channels
    return Session(first, channels, ids), Session(second, channels, ids)
