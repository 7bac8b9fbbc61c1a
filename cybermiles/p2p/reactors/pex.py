"""Peer exchange: ask peers for addresses of other nodes, and tell some when asked.

    0 request                              answered at most once every `pex_interval_ms`; more often is an offence
    1 answer, up to 250 addresses          only after our request; unasked-for is an offence

Only peers that we dialed are asked: whoever comes to us must not decide whom else we meet. What they tell goes into the
address book under their network group, which bounds how much of it one party can fill. A seed asks everybody, answers,
and parts from a peer once the answer has had a second to leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.node_info import address_fields, decode_addresses
from cybermiles.p2p.rate_limit import TokenBucket
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.types import rlp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.p2p.address_book import AddressBook
    from cybermiles.p2p.config import P2PConfig
    from cybermiles.p2p.identity import PeerAddress
    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.runtime.clock import Clock

PEX_CHANNEL = 0x00
MAX_ADDRESSES = 250
ENOUGH_ADDRESSES = 1000
"""With so many in the book nobody is asked."""
_BURST = 3
"""Requests in a row that are answered: one of a short-lived link before, one now, one early by the peer's clock."""
_TICK_SECONDS = 1
_REQUEST, _ANSWER = 0, 1


@dataclass(slots=True)
class _Acquaintance:
    peer: PeerHandle
    requests: TokenBucket
    asked_ms: int | None = None
    awaiting: bool = False
    answered_ms: int | None = None


class PexReactor:
    """Speaks on channel 0x00."""

    def __init__(self, config: P2PConfig, book: AddressBook, clock: Clock) -> None:
        self.channels = (ChannelSpec(PEX_CHANNEL, priority=1, max_message_bytes=32_768, send_queue_messages=4),)
        self._config = config
        self._book = book
        self._clock = clock
        self._peers: dict[str, _Acquaintance] = {}

    def peer_added(self, peer: PeerHandle) -> None:
        interval_ms = self._config.pex_interval_ms
        bucket = TokenBucket(1000, _BURST * interval_ms, self._now_ms())
        self._peers[peer.id] = _Acquaintance(peer, bucket)
        self._ask(self._peers[peer.id])

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:  # noqa: ARG002  (why does not matter here)
        self._peers.pop(peer.id, None)

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:  # noqa: ARG002  (there is one)
        known = self._peers.get(peer.id)
        if known is None:
            return
        addresses = decode(message)
        if addresses is None:
            self._answer(known)
        elif known.awaiting:
            known.awaiting = False
            for address in addresses:
                self._book.add(address, peer.host)
        else:
            raise PeerViolation(Offence.UNSOLICITED, f"{len(addresses)} addresses nobody asked for")

    async def run(self) -> None:
        """Ask again from time to time; as a seed, part from those who have what they came for."""
        while True:
            await self._clock.sleep(_TICK_SECONDS)
            for known in tuple(self._peers.values()):
                self._ask(known)
                if self._config.seed_mode:
                    self._part(known)

    def _ask(self, known: _Acquaintance) -> None:
        now_ms = self._now_ms()
        if len(self._book) >= ENOUGH_ADDRESSES or not (known.peer.is_outbound or self._config.seed_mode):
            return
        if known.asked_ms is not None and now_ms - known.asked_ms < self._config.pex_interval_ms:
            return
        if not known.awaiting and known.peer.send(PEX_CHANNEL, encode_request()):
            known.asked_ms, known.awaiting = now_ms, True

    def _answer(self, known: _Acquaintance) -> None:
        now_ms = self._now_ms()
        if not known.requests.allow(now_ms, self._config.pex_interval_ms):
            raise PeerViolation(Offence.FLOOD, "too many requests for addresses")
        told = [address for address in self._book.sample(MAX_ADDRESSES) if address.id != known.peer.id]
        known.peer.send(PEX_CHANNEL, encode_answer(told))
        known.answered_ms = now_ms

    def _part(self, known: _Acquaintance) -> None:
        """An inbound peer leaves with its answer, an outbound one when it has given us ours, or keeps silent."""
        now_ms = self._now_ms()
        if known.peer.is_outbound:
            given = known.asked_ms is not None and not known.awaiting
            silent = known.asked_ms is not None and now_ms - known.asked_ms >= self._config.pex_interval_ms
            done = given or silent
        else:
            done = known.answered_ms is not None and now_ms - known.answered_ms >= _TICK_SECONDS * 1000
        if done:
            known.peer.disconnect("seeds keep no peers")

    def _now_ms(self) -> int:
        return int(self._clock.monotonic() * 1000)


def encode_request() -> bytes:
    """Return the message that asks for addresses."""
    return rlp.encode([rlp.int_to_bytes(_REQUEST)])


def encode_answer(addresses: Sequence[PeerAddress]) -> bytes:
    """Return the message that tells them; at most `MAX_ADDRESSES`."""
    return rlp.encode([rlp.int_to_bytes(_ANSWER), address_fields(addresses[:MAX_ADDRESSES])])


def decode(message: bytes) -> tuple[PeerAddress, ...] | None:
    """Return the addresses of an answer, or None for a request. Raises DecodingError, or PeerViolation for neither."""
    fields = rlp.as_list(rlp.decode(message, max_depth=3))
    kind = rlp.as_int(fields[0], bits=8) if fields else None
    if kind == _REQUEST and len(fields) == 1:
        return None
    if kind == _ANSWER and len(fields) == 2:
        return decode_addresses(fields[1], MAX_ADDRESSES)
    raise PeerViolation(Offence.MALFORMED_MESSAGE, "neither a request for addresses nor an answer")
