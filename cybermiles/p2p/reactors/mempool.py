"""Spreads transactions: what the pool admits goes out, what peers send goes to the pool in batches.

    pool ── admitted ──► TransactionGossip (policy) ── tick ──► pushes, announcements, requests
    peers ── transactions ──► one bounded queue a peer ──► worker, in turns ──► pool.submit_batch

Only what is provably malformed costs its sender: nonces, balances and prices are matters of time and of each node's own
limits. While this node catches up it neither takes nor relays anything, because it could not judge it.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol

from cybermiles.crypto.hashing import keccak256
from cybermiles.errors import (
    InvalidSignature,
    InvalidTransaction,
    MalformedTransaction,
    OversizedTransaction,
    UnprotectedTransaction,
    UnsupportedTransactionType,
    WrongChainId,
)
from cybermiles.p2p.multiplex import ChannelSpec
from cybermiles.p2p.rate_limit import TokenBucket
from cybermiles.p2p.reactors.mempool_policy import DropSilent, Give, Request, TransactionGossip
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.p2p.wire.mempool import (
    MAX_HASHES,
    MAX_MESSAGE_BYTES,
    TARGET_BYTES,
    Announce,
    Announcement,
    Answer,
    Push,
    Want,
    batches,
    decode_transactions,
    encode_transactions,
)
from cybermiles.runtime.pacing import News
from cybermiles.types.primitives import Hash32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cybermiles.p2p.ports import PeerHandle
    from cybermiles.runtime.clock import Clock
    from cybermiles.types.transaction import Transaction

MEMPOOL_CHANNEL = 0x30
TICK_MS = 50
"""Transactions that arrive within it go to the pool, and then travel on, together: a small batch wakes threads and
sends messages as often as a large one. The first after a pause waits for nothing."""
BATCH = 256
"""Transactions of one call of the pool."""
MAX_QUEUE_BYTES = 1024 * 1024
"""Of one peer's transactions that wait for the pool; what comes beyond is dropped."""
TRANSACTIONS_PER_SECOND = 1_000
"""Of one peer; beyond, with a burst of as many as fit its queue, they are dropped."""
BURST = 8_192
BYTES_PER_SECOND = 4 * 1024 * 1024
"""Of one peer; beyond, with the burst below, its messages are dropped unread. Our requests bring half of it at most."""
BURST_BYTES = 8 * 1024 * 1024
MESSAGE_BYTES = 2_048
"""The least that a message counts: handling it costs something too."""
MAX_REFUSED = 8_192
REFUSED_MS = 10_000
"""How long a refused transaction is not looked at again, whoever sends it."""

_MALFORMED = (
    MalformedTransaction,
    InvalidSignature,
    OversizedTransaction,
    UnsupportedTransactionType,
    WrongChainId,
    UnprotectedTransaction,
)
"""What no honest node of this network could ever have admitted."""


class TransactionPool(Protocol):
    """The pool, as gossip sees it."""

    def lookup(self, tx_hash: Hash32) -> Transaction | None:
        """Return a pooled transaction."""
        ...

    def pending(self) -> Iterator[Transaction]:
        """Yield the transactions that can execute."""
        ...

    async def submit_batch(self, raws: Sequence[bytes]) -> list[Hash32 | InvalidTransaction]:
        """Admit many; each result is the hash or why it was refused, in order."""
        ...

    def listen(self, listener: Callable[[Sequence[Transaction]], None]) -> None:
        """Have the listener called with the transactions that are admitted from now on."""
        ...


@dataclass(slots=True)
class _Sender:
    """A peer and what it sent that the pool has not seen."""

    handle: PeerHandle
    transactions: TokenBucket
    bandwidth: TokenBucket
    queue: deque[tuple[Hash32, bytes]] = field(default_factory=deque)
    queue_bytes: int = 0


class MempoolReactor:
    """Reactor of the transaction channel. `run` belongs to a supervised task."""

    channels = (
        ChannelSpec(MEMPOOL_CHANNEL, 20, MAX_MESSAGE_BYTES, send_queue_messages=256, send_queue_bytes=2 * 1024 * 1024),
    )

    def __init__(self, pool: TransactionPool, is_catching_up: Callable[[], bool], clock: Clock) -> None:
        self._pool = pool
        self._is_catching_up = is_catching_up
        self._news = News(clock)
        self._policy = TransactionGossip()
        self._peers: dict[str, _Sender] = {}
        self._queued: dict[Hash32, None] = {}
        """On the way into the pool."""
        self._refused: OrderedDict[Hash32, int] = OrderedDict()
        """Hash to the time when it was refused."""
        self._next_tick_ms = 0
        pool.listen(self._admitted)

    async def run(self) -> NoReturn:
        """Feed the pool and spread what it takes, until cancelled."""
        while True:
            due_ms = await self.turn()
            if not self._is_full:
                await self._news.wait_until(due_ms)

    async def turn(self) -> int:
        """Feed the pool at a tick or when a whole batch waits, send what is due; return when to be called again."""
        if self._is_full or self._news.now_ms() >= self._next_tick_ms:
            await self.feed()
        return self.tick(self._news.now_ms())

    def tick(self, now_ms: int) -> int:
        """Send what is due, at most every `TICK_MS`, and return when to be called again."""
        if now_ms >= self._next_tick_ms:
            self._next_tick_ms = now_ms + TICK_MS
            for action in self._policy.tick(now_ms):
                match action:
                    case Give(peer, push, announce):
                        self._give(peer, push, announce)
                    case Request(peer, number, hashes):
                        self._send(peer, Want(number, hashes))
                    case DropSilent(peer):
                        self._disconnect(peer, "transactions announced and not delivered", Offence.UNRESPONSIVE)
        return now_ms + 60_000 if self._policy.is_idle and not self._queued else self._next_tick_ms

    @property
    def _is_full(self) -> bool:
        """Whether so many wait for the pool that they wait no longer."""
        return len(self._queued) >= BATCH

    async def feed(self) -> bool:
        """Hand one batch to the pool, taken from the peers in turns; False where none waits."""
        batch = self._next_batch()
        if not batch:
            return False
        results = await self._pool.submit_batch([raw for _, _, raw in batch])
        now_ms = self._news.now_ms()
        for (peer, tx_hash, _), result in zip(batch, results, strict=True):
            self._queued.pop(tx_hash, None)
            if not isinstance(result, InvalidTransaction):
                continue
            self._policy.arrived(tx_hash)
            self._refuse(tx_hash, now_ms)
            if isinstance(result, _MALFORMED):
                self._disconnect(peer, f"transaction 0x{tx_hash.hex()}: {result}", Offence.MALFORMED_MESSAGE)
        return True

    def peer_added(self, peer: PeerHandle) -> None:
        now_ms = self._news.now_ms()
        transactions = TokenBucket(TRANSACTIONS_PER_SECOND, BURST, now_ms)
        self._peers[peer.id] = _Sender(peer, transactions, TokenBucket(BYTES_PER_SECOND, BURST_BYTES, now_ms))
        pooled = () if self._is_catching_up() else (_announcement(t) for t in self._pool.pending())
        self._policy.added(peer.id, pooled)
        self._news.tell()

    def peer_removed(self, peer: PeerHandle, reason: str) -> None:  # noqa: ARG002  (the switch logs it)
        sender = self._peers.pop(peer.id, None)
        for tx_hash, _ in sender.queue if sender is not None else ():
            self._queued.pop(tx_hash, None)
        self._policy.removed(peer.id)

    def receive(self, peer: PeerHandle, channel: int, message: bytes) -> None:  # noqa: ARG002  (it has one)
        sender = self._peers.get(peer.id)
        if sender is None:
            return
        now_ms = self._news.now_ms()
        if not sender.bandwidth.allow(now_ms, max(len(message), MESSAGE_BYTES)):
            return
        decoded = decode_transactions(message)
        match decoded:
            case Want():
                self._answer(sender, decoded)
            case Answer():
                self._take_answer(sender, decoded)
            case _ if self._is_catching_up():
                pass
            case Announce(announcements):
                fresh = [a for a in announcements if not self._is_here(a.hash)]
                self._policy.announced(peer.id, fresh, now_ms)
            case Push(transactions):
                for raw in transactions:
                    if not sender.transactions.allow(now_ms):
                        break
                    self._take(sender, Hash32(keccak256(raw)), raw)
        self._news.tell()

    def _admitted(self, transactions: Sequence[Transaction]) -> None:
        if not self._is_catching_up():
            for transaction in transactions:
                self._policy.admitted(_announcement(transaction))
            self._news.tell()

    # Receiving

    def _is_here(self, tx_hash: Hash32) -> bool:
        """Whether a transaction is pooled, on its way, or was refused a moment ago."""
        refused_ms = self._refused.get(tx_hash)
        is_refused = refused_ms is not None and self._news.now_ms() - refused_ms < REFUSED_MS
        return is_refused or tx_hash in self._queued or self._pool.lookup(tx_hash) is not None

    def _take(self, sender: _Sender, tx_hash: Hash32, raw: bytes) -> None:
        """Queue a transaction for the pool, within the sender's room."""
        self._policy.has(sender.handle.id, tx_hash)
        if self._is_here(tx_hash) or sender.queue_bytes + len(raw) > MAX_QUEUE_BYTES:
            return
        self._policy.arrived(tx_hash)
        self._queued[tx_hash] = None
        sender.queue.append((tx_hash, raw))
        sender.queue_bytes += len(raw)

    def _take_answer(self, sender: _Sender, answer: Answer) -> None:
        hashes: list[Hash32] = []
        for raw in answer.transactions:
            if not sender.transactions.allow(self._news.now_ms()):
                break
            tx_hash = Hash32(keccak256(raw))
            hashes.append(tx_hash)
            announced = self._policy.announcement(tx_hash)
            if announced is not None and announced.size != len(raw):
                raise PeerViolation(Offence.LYING, f"a transaction of {len(raw)} bytes, {announced.size} announced")
            if not self._is_catching_up():
                self._take(sender, tx_hash, raw)
        if not self._policy.answered(sender.handle.id, answer.number, hashes):
            raise PeerViolation(Offence.UNSOLICITED, "transactions that nobody asked for")

    def _next_batch(self) -> list[tuple[str, Hash32, bytes]]:
        batch: list[tuple[str, Hash32, bytes]] = []
        waiting = [sender for sender in self._peers.values() if sender.queue]
        while waiting and len(batch) < BATCH:
            for sender in waiting:
                tx_hash, raw = sender.queue.popleft()
                sender.queue_bytes -= len(raw)
                batch.append((sender.handle.id, tx_hash, raw))
            waiting = [sender for sender in waiting if sender.queue]
        return batch

    def _refuse(self, tx_hash: Hash32, now_ms: int) -> None:
        self._refused[tx_hash] = now_ms
        self._refused.move_to_end(tx_hash)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)

    # Sending

    def _give(self, peer: str, push: Sequence[Hash32], announce: Sequence[Announcement]) -> None:
        raws = [transaction.raw for h in push if (transaction := self._pool.lookup(h)) is not None]
        for group in batches(raws):
            self._send(peer, Push(group))
        for start in range(0, len(announce), MAX_HASHES):
            self._send(peer, Announce(tuple(announce[start : start + MAX_HASHES])))

    def _answer(self, sender: _Sender, want: Want) -> None:
        """Give what was announced to the peer, once; a request for nothing of that is not answered."""
        claimed = self._policy.claimed(sender.handle.id, want.hashes)
        if not claimed:
            return
        raws: list[bytes] = []
        size = 0
        for tx_hash in claimed:
            transaction = self._pool.lookup(tx_hash)
            if transaction is None:
                continue
            if raws and size + transaction.size > TARGET_BYTES:
                break
            raws.append(transaction.raw)
            size += transaction.size
            self._policy.has(sender.handle.id, tx_hash)
        self._send(sender.handle.id, Answer(want.number, tuple(raws)))

    def _send(self, peer: str, message: Push | Announce | Want | Answer) -> None:
        """Send, or drop where the peer's queue is full: others will bring it."""
        sender = self._peers.get(peer)
        if sender is not None:
            sender.handle.send(MEMPOOL_CHANNEL, encode_transactions(message))

    def _disconnect(self, peer: str, reason: str, offence: Offence) -> None:
        sender = self._peers.get(peer)
        if sender is not None:
            sender.handle.disconnect(reason, offence=offence)


def _announcement(transaction: Transaction) -> Announcement:
    return Announcement(transaction.hash, transaction.type, transaction.size)
