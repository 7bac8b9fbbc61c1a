"""Which block to ask whom for: the policy of block sync. Pure; `now_ms` is an argument, what to do is returned.

    status, received, no_block, refused, removed, applied, tick ──► [Ask(peer, height), Drop(peer, why)…]

                   applied        buffered and asked for         best claimed height
    heights  ─────────┤├──────────────────────────────┤┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┤
                       next ►  at most `window` ahead, at most `buffer_bytes`

What a peer claims decides only what *it* is asked for, so a liar can waste its own requests and no more: it is asked
for a height it claims, and then it delivers, or it is dropped for a false claim, for silence or for a wrong block. The
block that everything waits for is asked for a second time elsewhere when it is late. Whether this node counts as
catching up, and so stops voting, rests on blocks that were proven and applied, never on claims.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cybermiles.sync.actions import Ask, Drop, Fault, SyncLimits

if TYPE_CHECKING:
    from cybermiles.sync.actions import Action, SuppliedBlock


@dataclass(slots=True)
class _Peer:
    base: int
    height: int
    since_ms: int
    """When it first claimed more than we had then."""
    owes: dict[int, int] = field(default_factory=dict)
    """Heights asked for and when, in that order."""
    passed: dict[int, int] = field(default_factory=dict)
    """Owed heights and since when later ones were delivered before them."""
    taken_back_to: int | None = None
    """The lower height it named after its highest, until it shows to have more."""
    asked: dict[int, None] = field(default_factory=dict)
    """Heights it was asked for lately; an answer that comes late or twice is not unsolicited."""
    waiting_since_ms: int = 0
    """When it last delivered, or began to owe."""
    silences: int = 0
    window_began_ms: int = 0
    window_bytes: int = 0

    def serves(self, height: int) -> bool:
        return self.base <= height <= self.height


_FIRST_ESTIMATE = 256 * 1024
_RECENT_SIZES = 16
_RATE_WINDOW_MS = 10_000


class BlockSync:
    """One node's requests and what came of them. Owned by the sync service."""

    def __init__(self, applied: int, now_ms: int, limits: SyncLimits | None = None) -> None:
        """Start from the newest height that is durable here."""
        self.limits = limits or SyncLimits()
        self.applied_height = applied
        self.is_catching_up = False
        """Whether blocks proven and applied show that this node is behind."""
        self._peers: dict[str, _Peer] = {}
        self._blocks: dict[int, SuppliedBlock] = {}
        self._owed_by: dict[int, list[str]] = {}
        self._again: list[int] = []
        self._is_again: set[int] = set()
        self._frontier = applied + 1
        """Lowest height that was never asked for."""
        self._sizes: deque[int] = deque((_FIRST_ESTIMATE,), maxlen=_RECENT_SIZES)
        self._buffered_bytes = 0
        self._applied_ms = now_ms
        self._synced_run = 0
        """Blocks applied from here since consensus decided one."""

    @property
    def best_height(self) -> int:
        """The highest height any connected peer claims, 0 without peers."""
        return max((peer.height for peer in self._peers.values()), default=0)

    def heights(self, peer: str) -> tuple[int, int] | None:
        """Return the oldest and newest height a peer claims to have, None where it has said nothing."""
        known = self._peers.get(peer)
        return None if known is None else (known.base, known.height)

    @property
    def lag(self) -> int:
        """Heights that peers claim to be ahead."""
        return max(self.best_height - self.applied_height, 0)

    @property
    def buffered_bytes(self) -> int:
        """Size of the blocks that wait."""
        return self._buffered_bytes

    @property
    def owed(self) -> int:
        """Requests that are open."""
        return sum(len(peer.owes) for peer in self._peers.values())

    @property
    def next_block(self) -> SuppliedBlock | None:
        """The block to apply now, None while it is not here."""
        return self._blocks.get(self.applied_height + 1)

    # Events

    def status(self, peer: str, base: int, height: int, now_ms: int) -> list[Action]:
        """A peer says which heights it has."""
        known = self._peers.get(peer)
        if known is None:
            self._peers[peer] = _Peer(base, height, now_ms)
        elif height < known.height:  # the claim stands: who takes it back is asked for it all the same
            known.taken_back_to = height
        else:
            known.taken_back_to = None
            if known.height <= self.applied_height < height:
                known.since_ms = now_ms
            known.base, known.height = base, height
        return self._assign(now_ms)

    def removed(self, peer: str, now_ms: int) -> list[Action]:
        """A peer is gone; its blocks that wait stay, for it is still to blame for them."""
        self._forget(peer)
        return self._assign(now_ms)

    def received(self, block: SuppliedBlock, now_ms: int) -> list[Action]:
        """A block arrived."""
        peer = self._peers.get(block.peer)
        if peer is None:
            return []
        if block.height not in peer.asked:
            return self._drop(block.peer, Fault.UNSOLICITED, f"height {block.height} was not asked for", now_ms)
        size = len(block.value)
        self._sizes.append(size)
        peer.window_bytes += size
        self._take_delivery(block.peer, peer, block.height, now_ms)
        if block.height > self.applied_height and block.height not in self._blocks:
            self._blocks[block.height] = block
            self._buffered_bytes += size
        return self._assign(now_ms)

    def no_block(self, peer: str, height: int, now_ms: int) -> list[Action]:
        """A peer says that it does not have what it was asked for."""
        known = self._peers.get(peer)
        if known is None:
            return []
        if height not in known.asked:
            return self._drop(peer, Fault.UNSOLICITED, f"height {height} was not asked for", now_ms)
        if height not in known.owes:
            return []
        if known.serves(height):
            return self._drop(peer, Fault.LYING, f"it claimed height {height} and does not have it", now_ms)
        self._settle(peer, height)
        self._ask_again(height)
        return self._assign(now_ms)

    def refused(self, block: SuppliedBlock, reason: str, now_ms: int) -> list[Action]:
        """A block or its commit was wrong: its supplier goes, with everything else it supplied."""
        for height in [h for h, b in self._blocks.items() if b.peer == block.peer]:
            self._unbuffer(height)
            self._ask_again(height)
        self._ask_again(block.height)
        return self._drop(block.peer, Fault.WRONG_BLOCK, f"height {block.height}: {reason}", now_ms)

    def applied(self, height: int, now_ms: int, *, synced: bool) -> list[Action]:
        """Everything up to a height is durable; `synced` where its last block came from here."""
        if height <= self.applied_height:
            return []
        for passed in range(self.applied_height + 1, height + 1):
            if passed in self._blocks:
                self._unbuffer(passed)
        self.applied_height = height
        self._frontier = max(self._frontier, height + 1)
        self._applied_ms = now_ms
        self._synced_run = self._synced_run + 1 if synced else 0
        self._judge(now_ms)
        return self._assign(now_ms)

    def tick(self, now_ms: int) -> list[Action]:
        """Time passed; call this at least every second."""
        self._judge(now_ms)
        actions: list[Action] = []
        for name, peer in tuple(self._peers.items()):
            if not peer.owes:
                continue
            if now_ms - peer.waiting_since_ms >= self.limits.silence_ms:
                actions += self._silence(name, peer, now_ms)
            elif self._is_slow(peer, now_ms):
                actions += self._drop(name, Fault.UNRESPONSIVE, "too slow", now_ms)
            else:
                actions += self._left_out(name, peer, now_ms)
        return actions + self._hedge(now_ms) + self._assign(now_ms)

    # Judging

    def _judge(self, now_ms: int) -> None:
        """The last two blocks were not decided by consensus here, and more are to come: that is being behind.

        A block that is decided here ends it, whatever anybody claims: else a liar could keep this node from voting.
        """
        is_behind = self.lag > 1 and now_ms - self._applied_ms < self.limits.stall_ms
        self.is_catching_up = is_behind and self._synced_run >= 2

    def _take_delivery(self, name: str, peer: _Peer, height: int, now_ms: int) -> None:
        peer.waiting_since_ms = now_ms
        if height not in peer.owes:
            return
        for owed in peer.owes:
            if owed == height:
                break
            peer.passed.setdefault(owed, now_ms)
        self._settle(name, height)
        if not peer.passed:
            peer.silences = 0
        if peer.taken_back_to is not None and height > peer.taken_back_to:
            peer.taken_back_to = None

    def _left_out(self, name: str, peer: _Peer, now_ms: int) -> list[Action]:
        """Answers come in the order of requests: what was passed over for a while is not coming."""
        missing = [height for height, since in peer.passed.items() if now_ms - since >= self.limits.late_ms]
        if not missing:
            return []
        for height in missing:
            self._give_up(name, height)
        return self._strike(name, peer, f"it left out height {missing[0]}", now_ms)

    def _silence(self, name: str, peer: _Peer, now_ms: int) -> list[Action]:
        for height in tuple(peer.owes):
            self._give_up(name, height)
        return self._strike(name, peer, f"no block in {self.limits.silence_ms} ms", now_ms)

    def _strike(self, name: str, peer: _Peer, reason: str, now_ms: int) -> list[Action]:
        peer.silences += 1
        if peer.silences < self.limits.max_silences:
            return []
        if peer.taken_back_to is not None:
            reason = f"its height went down from {peer.height} to {peer.taken_back_to}, and {reason}"
        return self._drop(name, Fault.UNRESPONSIVE if peer.taken_back_to is None else Fault.LYING, reason, now_ms)

    def _give_up(self, name: str, height: int) -> None:
        self._settle(name, height)
        self._ask_again(height)

    def _is_slow(self, peer: _Peer, now_ms: int) -> bool:
        """Judge a whole window in which it owed many blocks; the last of its kind is never too slow."""
        elapsed = now_ms - peer.window_began_ms
        if elapsed < _RATE_WINDOW_MS:
            return False
        enough = peer.window_bytes * 1000 >= self.limits.min_bytes_per_second * elapsed
        peer.window_began_ms, peer.window_bytes = now_ms, 0
        others = sum(other.serves(self.applied_height + 1) for other in self._peers.values())
        return not enough and others > 1 and self.lag > self.limits.requests_per_peer

    # Requests

    def _assign(self, now_ms: int) -> list[Action]:
        """Ask for as much as the bounds allow, lowest height first."""
        actions: list[Action] = []
        postponed: list[int] = []
        free = self._free()
        while (height := self._next_height()) is not None:
            is_next = height == self.applied_height + 1
            is_served = any(peer.serves(height) for peer in free)
            name = self._supplier(height, now_ms) if is_served and (is_next or self._has_room()) else None
            if name is not None:
                actions.append(self._ask(name, height, now_ms))
                free = self._free()
                continue
            postponed.append(height)
            if not any(height < peer.height for peer in free) or not self._has_room():
                break
        for height in postponed:
            self._ask_again(height)
        return actions

    def _next_height(self) -> int | None:
        """Take the lowest height that nobody owes and that is not here, None where there is none in reach."""
        while self._again:
            height = heapq.heappop(self._again)
            self._is_again.discard(height)
            if height > self.applied_height and height not in self._blocks and height not in self._owed_by:
                return height
        if self._frontier > min(self.best_height, self.applied_height + self.limits.window):
            return None
        self._frontier += 1
        return self._frontier - 1

    def _has_room(self) -> bool:
        return self._buffered_bytes + (self.owed + 1) * max(self._sizes) <= self.limits.buffer_bytes

    def _free(self) -> list[_Peer]:
        """The peers with room for a request."""
        return [peer for peer in self._peers.values() if len(peer.owes) < self.limits.requests_per_peer]

    def _supplier(self, height: int, now_ms: int) -> str | None:
        """Return the peer to ask: the least silent, then the least busy."""
        owed_by = self._owed_by.get(height, [])
        candidates = [
            (peer.silences, len(peer.owes), order, name)
            for order, (name, peer) in enumerate(self._peers.items())
            if peer.serves(height)
            and len(peer.owes) < self.limits.requests_per_peer
            and name not in owed_by
            and (peer.height > self.applied_height + 1 or now_ms - peer.since_ms >= self.limits.tip_grace_ms)
        ]
        return min(candidates)[3] if candidates else None

    def _ask(self, name: str, height: int, now_ms: int) -> Ask:
        peer = self._peers[name]
        if not peer.owes:
            peer.waiting_since_ms = peer.window_began_ms = now_ms
            peer.window_bytes = 0
        peer.owes[height] = now_ms
        peer.asked[height] = None
        if len(peer.asked) > 2 * self.limits.window:
            del peer.asked[next(iter(peer.asked))]
        self._owed_by.setdefault(height, []).append(name)
        return Ask(name, height)

    def _hedge(self, now_ms: int) -> list[Action]:
        """Ask a second peer for the block that everything waits for."""
        height = self.applied_height + 1
        owed_by = self._owed_by.get(height, [])
        if len(owed_by) != 1 or now_ms - self._peers[owed_by[0]].owes[height] < self.limits.late_ms:
            return []
        name = self._supplier(height, now_ms)
        return [] if name is None else [self._ask(name, height, now_ms)]

    def _settle(self, name: str, height: int) -> None:
        """The peer owes this height no longer."""
        self._peers[name].owes.pop(height, None)
        self._peers[name].passed.pop(height, None)
        owed_by = self._owed_by.get(height, [])
        if name in owed_by:
            owed_by.remove(name)
        if not owed_by:
            self._owed_by.pop(height, None)

    def _ask_again(self, height: int) -> None:
        if height not in self._is_again:
            self._is_again.add(height)
            heapq.heappush(self._again, height)

    def _unbuffer(self, height: int) -> None:
        self._buffered_bytes -= len(self._blocks.pop(height).value)

    def _drop(self, name: str, fault: Fault, reason: str, now_ms: int) -> list[Action]:
        self._forget(name)
        return [Drop(name, fault, reason), *self._assign(now_ms)]

    def _forget(self, name: str) -> None:
        peer = self._peers.get(name)
        if peer is None:
            return
        for height in tuple(peer.owes):
            self._settle(name, height)
            self._ask_again(height)
        del self._peers[name]
