"""Sends one peer what it lacks of one height: votes, proposals with their polkas, parts, round certificates.

Everything is marked as sent only where the peer's queue took it, so what did not fit is tried again at the next tick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cybermiles.consensus.messages import PartMessage
from cybermiles.p2p.reactors.consensus_peer import PART_WINDOW, parts_in_turn, wanted
from cybermiles.p2p.reactors.consensus_shelf import LAZY_MS, PartsKey, ProposalKey, VoteKey, have
from cybermiles.p2p.wire.consensus import (
    MAX_BATCH_VOTES,
    Have,
    Prefer,
    RoundStep,
    Votes,
    encode_data,
    encode_state,
    encode_votes,
)
from cybermiles.types.certificate import MAX_CERTIFICATE_VOTES, PolkaCertificate, RoundCertificate
from cybermiles.types.vote import VoteType

if TYPE_CHECKING:
    from cybermiles.p2p.reactors.consensus_peer import ConsensusPeer, PeerHeight
    from cybermiles.p2p.reactors.consensus_shelf import Key, Shelf
    from cybermiles.types.proposal import SignedProposal
    from cybermiles.types.vote import Vote

STATE_CHANNEL = 0x20
DATA_CHANNEL = 0x21
VOTES_CHANNEL = 0x22


class Outgoing:
    """What may go to one peer about one height."""

    def __init__(self, peer: ConsensusPeer, shelf: Shelf, of_height: PeerHeight, now_ms: int) -> None:
        self._peer = peer
        self._shelf = shelf
        self._of_height = of_height
        self._may_be_stale = now_ms >= peer.entered_ms + LAZY_MS
        self._lowest_round = peer.round if peer.height == shelf.height else 0
        """Prevotes and proposals of earlier rounds are of no more use to the peer; precommits are."""

    def votes(self) -> bool:
        """Send votes and tell whether all went out."""
        of_height = self._of_height
        batch: list[tuple[VoteKey, int, Vote]] = []
        for key in self._shelf.here:
            if not isinstance(key, VoteKey):
                continue
            if key.type is VoteType.PREVOTE and key.round < self._lowest_round:
                continue
            bits = wanted(self._shelf, of_height, key, self._peer.lazy_mask, may_be_stale=self._may_be_stale)
            if bits:
                batch += [(key, index, vote) for index, vote in self._shelf.votes(key, bits)]
        for start in range(0, len(batch), MAX_BATCH_VOTES):
            chunk = batch[start : start + MAX_BATCH_VOTES]
            message = encode_votes(Votes(tuple(vote for _, _, vote in chunk)))
            if not self._peer.handle.send(VOTES_CHANNEL, message):
                return False
            for key, index, _ in chunk:
                of_height.known(key).sent |= 1 << index
        return True

    def data(self, position: tuple[int, int]) -> bool:
        """Send proposals and parts and tell whether all went out that the window allows.

        `position` is (this peer's place, number of peers): parts go out from another place for each.
        """
        of_height = self._of_height
        for key, proposal in sorted(self._shelf.proposals.items()):
            if key.round < self._lowest_round:
                continue
            if not (self._proposal(of_height, key, proposal) and self._parts(of_height, key, position)):
                return False
        return True

    def _proposal(self, of_height: PeerHeight, key: ProposalKey, proposal: SignedProposal) -> bool:
        if not wanted(self._shelf, of_height, key, self._peer.lazy_mask, may_be_stale=self._may_be_stale):
            return True
        if not self._peer.handle.send(DATA_CHANNEL, encode_data(proposal)):
            return False
        of_height.known(key).sent |= 1
        return True

    def _parts(self, of_height: PeerHeight, key: ProposalKey, position: tuple[int, int]) -> bool:
        """Send parts of a block whose proposal the peer has, for it takes no others."""
        parts_key = PartsKey(key.parts_id)
        proposal_known = of_height.peek(key)
        if parts_key not in self._shelf.here or proposal_known is None or not proposal_known.missing_mask:
            return True
        bits = wanted(self._shelf, of_height, parts_key, self._peer.lazy_mask, may_be_stale=self._may_be_stale)
        if not bits:
            return True
        part_set = self._shelf.part_sets[key.parts_id]
        known = of_height.known(parts_key)
        total, (place, peers) = part_set.header.total, position
        room = PART_WINDOW - known.in_flight.bit_count()
        for index in parts_in_turn(bits, total, place * total // peers, room):
            part = part_set.part(index)
            if part is None:
                continue
            message = encode_data(PartMessage(self._shelf.height, key.parts_id, part))
            if not self._peer.handle.send(DATA_CHANNEL, message):
                return False
            known.sent |= 1 << index
        return True

    def polka(self, certificate: PolkaCertificate) -> bool:
        """Send the polka a block is proposed again for, unless the peer has its votes."""
        of_height = self._of_height
        key = VoteKey(certificate.round, VoteType.PREVOTE, certificate.block_hash)
        index_of = self._shelf.index_of
        bits = sum(1 << index_of[vote.validator] for vote in certificate.votes if vote.validator in index_of)
        known = of_height.known(key)
        if not bits & ~known.missing_mask:
            return True
        if not self._peer.handle.send(VOTES_CHANNEL, encode_votes(certificate)):
            return False
        known.sent |= bits
        return True

    def round_certificate(self, certificate: RoundCertificate) -> bool:
        """Send why we are in a later round."""
        if not self._peer.handle.send(VOTES_CHANNEL, encode_votes(certificate)):
            return False
        self._peer.certificate_round = certificate.round
        for vote in certificate.votes:
            index = self._shelf.index_of.get(vote.validator)
            if index is not None:
                self._of_height.known(VoteKey(vote.round, vote.type, vote.block_hash)).sent |= 1 << index
        return True


def announce(peer: ConsensusPeer, shelf: Shelf, of_height: PeerHeight, *, everything: bool) -> bool:
    """Tell a peer what we have, as far as it does not know, and whether that went out.

    Parts are announced also to who sent them: that is what opens its window for more.
    """
    keys: list[Key] = []
    for key, bits in shelf.here.items():
        known = of_height.peek(key)
        if everything or bits & ~(0 if known is None else known.told_mask if isinstance(key, VoteKey) else known.told):
            keys.append(key)
    if not keys and not everything:
        return True
    message: Have = have(shelf, keys, is_complete=everything)
    if not peer.handle.send(STATE_CHANNEL, encode_state(message)):
        return False
    for key in keys:
        of_height.known(key).told = shelf.here[key]
    return True


def tell_step(peer: ConsensusPeer, step: RoundStep) -> bool:
    """Tell a peer where we stand."""
    return peer.handle.send(STATE_CHANNEL, encode_state(step))


def tell_preference(peer: ConsensusPeer, shelf: Shelf) -> None:
    """Tell a peer for whom to be lazy; said again with every complete announcement."""
    bits = sum(1 << index for address, index in shelf.index_of.items() if address in peer.asked)
    if peer.handle.send(STATE_CHANNEL, encode_state(Prefer(shelf.height, bits))):
        peer.asked_changed = False


def certificate_of_round(shelf: Shelf, round_: int) -> RoundCertificate | None:
    """Return the votes here that show why `round_` was entered; None where there are none.

    Precommits of the round before come first: where there are too many votes, a quorum of those is among them.
    """
    keys = [
        key
        for key in shelf.here
        if isinstance(key, VoteKey)
        and (key.round == round_ or (key.round == round_ - 1 and key.type is VoteType.PRECOMMIT))
    ]
    keys.sort(key=lambda key: key.round)
    votes = [vote for key in keys for _, vote in shelf.votes(key, shelf.here[key])]
    return RoundCertificate(shelf.height, round_, tuple(votes[:MAX_CERTIFICATE_VOTES])) if votes else None
