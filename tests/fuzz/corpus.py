"""Valid messages of every channel to damage, and the decoder that reads each channel."""

from __future__ import annotations

from cybermiles.p2p.identity import Endpoint, NodeId, PeerAddress
from cybermiles.p2p.reactors import pex
from cybermiles.p2p.wire import block_sync, consensus, evidence, mempool, state_sync
from cybermiles.sync.snapshot_offers import Wanted
from cybermiles.types.commit import Commit
from cybermiles.types.evidence import DuplicateVote
from cybermiles.types.part_set import Part
from cybermiles.types.vote import Vote, VoteType

HASH = b"\x07" * 32
VOTE = Vote(VoteType.PREVOTE, 5, 0, HASH, b"\x02" * 20, b"\x03" * 64)
NIL = Vote(VoteType.PREVOTE, 5, 0, None, b"\x02" * 20, b"\x04" * 64)
PEX, STATE, DATA, VOTES, TRANSACTIONS, EVIDENCE, BLOCKS, STATES = 0x00, 0x20, 0x21, 0x22, 0x30, 0x38, 0x40, 0x41
DECODERS = {
    PEX: pex.decode,
    STATE: consensus.decode_state,
    DATA: consensus.decode_data,
    VOTES: consensus.decode_votes,
    TRANSACTIONS: mempool.decode_transactions,
    EVIDENCE: evidence.decode_evidence_batch,
    BLOCKS: block_sync.decode_block_sync,
    STATES: state_sync.decode_state_sync,
}


def messages():
    """Return channel to valid messages."""
    addresses = [PeerAddress(NodeId(f"{i:040x}"), Endpoint(f"{11 + i}.1.2.3", 26_656)) for i in range(30)]
    have = consensus.Have(
        5,
        True,
        (consensus.HaveVotes(0, VoteType.PREVOTE, HASH, 0b1011), consensus.HaveVotes(0, VoteType.PRECOMMIT, None, 1)),
        (consensus.HaveParts(0, HASH, 7),),
    )
    chunk = state_sync.Question(Wanted.CHUNK, 4, 1)
    commit = Commit(4, 0, HASH, (b"\x01" * 64, None, b"\x02" * 64))
    return {
        PEX: [pex.encode_request(), *(pex.encode_answer(addresses[:count]) for count in (0, 3, 30))],
        STATE: [
            consensus.encode_state(message)
            for message in (consensus.RoundStep(5, 1, consensus.Step.PREVOTE), have, consensus.Prefer(5, 0b101))
        ],
        DATA: [consensus.encode_data(consensus.PartMessage(5, HASH, Part(0, b"part" * 20, (HASH, HASH))))],
        VOTES: [consensus.encode_votes(consensus.Votes(votes)) for votes in ((VOTE,), (VOTE, NIL))],
        TRANSACTIONS: [
            mempool.encode_transactions(message)
            for message in (
                mempool.Push((b"\x02" * 110, b"\x03" * 110)),
                mempool.Announce((mempool.Announcement(HASH, 2, 110),)),
                mempool.Want(1, (HASH,)),
                mempool.Answer(1, (b"\x02" * 110,)),
            )
        ],
        EVIDENCE: [evidence.encode_evidence_batch([DuplicateVote(NIL, VOTE)])],
        BLOCKS: [
            block_sync.encode_block_sync(message)
            for message in (
                block_sync.Status(1, 9),
                block_sync.BlockRequest(4),
                block_sync.NoBlock(4),
                block_sync.BlockResponse(4, b"block" * 50, commit),
            )
        ],
        STATES: [state_sync.encode_state_sync(message) for message in (chunk, state_sync.Answer(chunk, b"chunk" * 50))],
    }
