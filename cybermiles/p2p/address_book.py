"""Addresses of other nodes, kept so that an attacker with many of them cannot become all our peers.

    new    heard of; 256 buckets, chosen by who told us and where the address is
    tried  connected to once; 64 buckets, chosen by where the address is

Bucket numbers are hashes keyed with a secret, so nobody outside can aim at a bucket. What one source's network group
tells reaches at most 32 of 256 buckets, the addresses of one group at most 4 of 64 tried ones, and a bucket holds at
most 2 addresses of one /24 (IPv6: /48). `choose` picks a bucket before an address, so a crowd in few buckets gains
nothing, and never an address of a group we have an outbound peer in. The last good outbound peers, the anchors, are
kept for the next start, which is the moment when an attacker would have it easiest.

One id has one address. Pure: time and choices are arguments; the file is somebody else's business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from cybermiles.crypto.hashing import sha256
from cybermiles.errors import ConfigError, DecodingError
from cybermiles.p2p.identity import PeerAddress, ip_address, network_group

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from cybermiles.p2p.identity import NodeId

T = TypeVar("T")

NEW_BUCKETS = 256
TRIED_BUCKETS = 64
BUCKET_SIZE = 64
NEW_BUCKETS_PER_SOURCE = 32
TRIED_BUCKETS_PER_GROUP = 4
MAX_PER_SUBNET = 2
MAX_ANCHORS = 2
MAX_ATTEMPTS_UNTRIED = 4
"""Failures after which an address that never worked is forgotten."""
MAX_ATTEMPTS = 16
"""Failures after which one that did is."""
RETRY_BASE_MS = 30_000
"""Delay after the first failure; doubles up to `RETRY_CAP_MS`."""
RETRY_CAP_MS = 3_600_000
_MAX_FILE_ENTRIES = (NEW_BUCKETS + TRIED_BUCKETS) * BUCKET_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is known of one address."""

    address: PeerAddress
    group: str
    """Its network group, and its subnet below: computed once, compared often."""
    subnet: str
    source: str
    """Network group of who told us."""
    attempts: int = 0
    """Failures since the last success."""
    last_attempt_ms: int = 0
    last_success_ms: int = 0
    """0: never; milliseconds since 1970 like all times here."""

    @property
    def is_tried(self) -> bool:
        """Whether it worked once."""
        return self.last_success_ms > 0

    def is_due(self, now_ms: int) -> bool:
        """Whether its last failure is long enough ago."""
        if self.attempts == 0:
            return True
        return now_ms - self.last_attempt_ms >= min(RETRY_BASE_MS << min(self.attempts - 1, 20), RETRY_CAP_MS)


class AddressBook:
    """The addresses of other nodes."""

    def __init__(
        self,
        *,
        secret: bytes,
        below: Callable[[int], int],
        never: Iterable[NodeId] = (),
        allow_private: bool = False,
    ) -> None:
        """`secret` keys the buckets; `never` are ids not to be kept: our own and private ones."""
        self._secret = secret
        self._below = below
        self._never = frozenset(never)
        self._allow_private = allow_private
        self._entries: dict[NodeId, Entry] = {}
        self._buckets: dict[tuple[str, int], dict[NodeId, None]] = {}
        self.anchors: tuple[PeerAddress, ...] = ()
        """Outbound peers that were good when the node last ran."""

    def __len__(self) -> int:
        return len(self._entries)

    def entry(self, node_id: NodeId) -> Entry | None:
        """Return what is known of a node."""
        return self._entries.get(node_id)

    def add(self, address: PeerAddress, source_host: str) -> bool:
        """Take an address that somebody told; False where it is not wanted or its bucket has better ones."""
        if not self._is_acceptable(address):
            return False
        known = self._entries.get(address.id)
        if known is not None and (known.is_tried or known.attempts == 0):
            return False
        entry = _entry(address, network_group(source_host))
        if known is not None:
            self.remove(address.id)
        return self._place(entry)

    def failed(self, node_id: NodeId, now_ms: int) -> None:
        """Note that dialing it did not lead to a link; after enough failures it is forgotten."""
        entry = self._entries.get(node_id)
        if entry is None:
            return
        attempts = entry.attempts + 1
        if attempts >= (MAX_ATTEMPTS if entry.is_tried else MAX_ATTEMPTS_UNTRIED):
            self.remove(node_id)
        else:
            self._entries[node_id] = replace(entry, attempts=attempts, last_attempt_ms=now_ms)

    def succeeded(self, address: PeerAddress, now_ms: int) -> None:
        """Note that dialing the address led to the node: it moves to the tried ones."""
        if not self._is_acceptable(address):
            return
        self.remove(address.id)
        entry = _entry(address, network_group(address.endpoint.host))
        self._place(replace(entry, last_attempt_ms=now_ms, last_success_ms=now_ms))

    def remove(self, node_id: NodeId) -> None:
        """Forget a node."""
        entry = self._entries.pop(node_id, None)
        if entry is not None:
            key = self._bucket_of(entry)
            bucket = self._buckets[key]
            del bucket[node_id]
            if not bucket:
                del self._buckets[key]

    def choose(self, now_ms: int, *, skip: Collection[NodeId], groups: Collection[str]) -> PeerAddress | None:
        """Return an address to dial, not of `skip` and not in one of the `groups`; None where there is none.

        Tried and new addresses have equal chances, then buckets, then the addresses in the bucket.
        """
        kinds = ("tried", "new") if self._below(2) else ("new", "tried")
        for kind in kinds:
            for key in self._shuffled([key for key in self._buckets if key[0] == kind]):
                due = [
                    entry.address
                    for entry in map(self._entries.__getitem__, self._buckets[key])
                    if entry.address.id not in skip and entry.is_due(now_ms) and entry.group not in groups
                ]
                if due:
                    return due[self._below(len(due))]
        return None

    def sample(self, limit: int) -> tuple[PeerAddress, ...]:
        """Return random addresses to tell others; at most a quarter of a large book at once."""
        told = [entry.address for entry in self._entries.values() if entry.is_tried or entry.attempts == 0]
        count = min(limit, max(len(told) // 4, min(len(told), 32)))
        return tuple(self._shuffled(told, count))

    def to_json(self) -> bytes:
        """Return the whole book as its file has it."""
        entries = [
            [str(e.address), e.source, e.attempts, e.last_attempt_ms, e.last_success_ms] for e in self._entries.values()
        ]
        document = {"secret": self._secret.hex(), "anchors": [str(a) for a in self.anchors], "addresses": entries}
        return json.dumps(document, indent=0).encode()

    def load_json(self, data: bytes) -> None:
        """Fill an empty book from its file, with the file's secret. Raises DecodingError where it is damaged."""
        try:
            document = json.loads(data)
            secret = bytes.fromhex(document["secret"])
            anchors = tuple(PeerAddress.parse(text) for text in document["anchors"][:MAX_ANCHORS])
            entries = [_parse_entry(fields) for fields in document["addresses"][:_MAX_FILE_ENTRIES]]
        except (ValueError, TypeError, KeyError, ConfigError) as error:
            raise DecodingError(f"the address book is damaged: {error}") from error
        self._secret = secret
        self.anchors = tuple(anchor for anchor in anchors if self._is_acceptable(anchor))
        for entry in entries:
            if self._is_acceptable(entry.address) and entry.address.id not in self._entries:
                self._place(entry)

    def _is_acceptable(self, address: PeerAddress) -> bool:
        ip = address.endpoint.ip
        if ip is None or address.id in self._never or ip.is_unspecified or ip.is_multicast:
            return False
        return self._allow_private or ip.is_global

    def _place(self, entry: Entry) -> bool:
        """Put an entry that is not in the book into its bucket; False where the bucket has better ones."""
        key = self._bucket_of(entry)
        bucket = [self._entries[node_id] for node_id in self._buckets.get(key, ())]
        neighbours = [other for other in bucket if other.subnet == entry.subnet]
        rivals = neighbours if len(neighbours) >= MAX_PER_SUBNET else bucket if len(bucket) >= BUCKET_SIZE else []
        if rivals:
            loser = _loser(rivals)
            if loser is None:
                return False
            self.remove(loser.address.id)
        self._buckets.setdefault(key, {})[entry.address.id] = None
        self._entries[entry.address.id] = entry
        return True

    def _bucket_of(self, entry: Entry) -> tuple[str, int]:
        if entry.is_tried:
            slot = self._hash("tried slot", entry.address.endpoint.host) % TRIED_BUCKETS_PER_GROUP
            return "tried", self._hash("tried", entry.group, str(slot)) % TRIED_BUCKETS
        slot = self._hash("new slot", entry.group, entry.source) % NEW_BUCKETS_PER_SOURCE
        return "new", self._hash("new", entry.source, str(slot)) % NEW_BUCKETS

    def _hash(self, *parts: str) -> int:
        return int.from_bytes(sha256(self._secret + "|".join(parts).encode())[:8])

    def _shuffled(self, items: list[T], count: int | None = None) -> list[T]:
        """Return `count` items, or all, in random order."""
        wanted = len(items) if count is None else count
        for index in range(wanted):
            other = index + self._below(len(items) - index)
            items[index], items[other] = items[other], items[index]
        return items[:wanted]


def _entry(address: PeerAddress, source: str) -> Entry:
    host = address.endpoint.host
    return Entry(address=address, group=network_group(host), subnet=_subnet(host), source=source)


def _loser(rivals: list[Entry]) -> Entry | None:
    """Return the entry that makes room for a new one of its kind.

    Of tried ones the one that worked longest ago, since what works now is worth more; of new ones the one that failed
    most often, and none while all are untested: who comes later is not better.
    """
    if rivals[0].is_tried:
        return min(rivals, key=lambda entry: entry.last_success_ms)
    worst = max(rivals, key=lambda entry: entry.attempts)
    return worst if worst.attempts else None


def _subnet(host: str) -> str:
    """Return the IPv4 /24 or IPv6 /48; an address that the Internet does not route stands for itself."""
    address = ip_address(host)
    if address is None or not address.is_global:
        return host
    return address.packed[: 3 if address.version == 4 else 6].hex()


def _parse_entry(fields: list[object]) -> Entry:
    address, source, *numbers = fields
    attempts, last_attempt_ms, last_success_ms = map(_parse_count, numbers)
    return replace(
        _entry(PeerAddress.parse(str(address)), str(source)),
        attempts=attempts,
        last_attempt_ms=last_attempt_ms,
        last_success_ms=last_success_ms,
    )


def _parse_count(number: object) -> int:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"{number} is not a count")
    return number
