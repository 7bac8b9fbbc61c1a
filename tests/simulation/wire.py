"""Messages of the simulation's liars as bytes, and correct nodes' bytes as messages, for director and liars."""

from __future__ import annotations

from cybermiles.consensus.messages import PartMessage
from cybermiles.errors import DecodingError
from cybermiles.p2p.reactors.block_sync import BLOCK_SYNC_CHANNEL
from cybermiles.p2p.reactors.consensus_relay import DATA_CHANNEL, VOTES_CHANNEL
from cybermiles.p2p.wire.block_sync import BlockResponse, Status, encode_block_sync
from cybermiles.p2p.wire.consensus import Votes, decode_data, decode_votes, encode_data, encode_votes
from cybermiles.types.certificate import PolkaCertificate, RoundCertificate
from cybermiles.types.part_set import split
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote
from tests.simulation.messages import Body, Synced


def encoded(message) -> list[tuple[int, bytes]]:
    """Return a message as (channel, bytes), a block as its parts."""
    if isinstance(message, Vote):
        return [(VOTES_CHANNEL, encode_votes(Votes((message,))))]
    if isinstance(message, PolkaCertificate | RoundCertificate):
        return [(VOTES_CHANNEL, encode_votes(message))]
    if isinstance(message, SignedProposal):
        return [(DATA_CHANNEL, encode_data(message))]
    if isinstance(message, Body):
        parts = split(message.value.value)
        parts_id = message.parts.id
        pieces = [parts.part(index) for index in range(parts.header.total)]
        return [(DATA_CHANNEL, encode_data(PartMessage(message.value.height, parts_id, piece))) for piece in pieces]
    if isinstance(message, Synced):
        height = message.value.height
        status = encode_block_sync(Status(1, height + 1_000))
        block = encode_block_sync(BlockResponse(height, message.value.value, message.commit))
        return [(BLOCK_SYNC_CHANNEL, status), (BLOCK_SYNC_CHANNEL, block)]
    raise TypeError(type(message).__name__)


def consensus_messages(channel: int, message: bytes) -> tuple[object, ...]:
    """Return what consensus says in these bytes; nothing for other channels."""
    try:
        if channel == DATA_CHANNEL:
            data = decode_data(message)
            return () if isinstance(data, PartMessage) else (data,)
        if channel == VOTES_CHANNEL:
            decoded = decode_votes(message)
            return decoded.votes if isinstance(decoded, Votes) else (decoded,)
    except DecodingError as error:
        raise AssertionError(f"a correct node sent what does not decode: {error}") from error
    return ()
