"""Hands peers' messages to the height they are about, a batch at a time, and tells gossip what became of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from cybermiles.consensus.core.inputs import CertificateReceived, ProposalReceived, VoteReceived
from cybermiles.consensus.messages import PartMessage
from cybermiles.errors import ProtocolViolation
from cybermiles.types.proposal import SignedProposal
from cybermiles.types.vote import Vote

if TYPE_CHECKING:
    from cybermiles.consensus.application_calls import ApplicationCalls
    from cybermiles.consensus.height import HeightHost
    from cybermiles.consensus.inbox import Inbox, Received
    from cybermiles.consensus.intake import Intake
    from cybermiles.consensus.ports import Gossip

MAX_BATCH = 256
"""Messages verified at once; timers and the application get their turn between two batches."""


class Deliveries:
    """Owned by the runner."""

    def __init__(self, inbox: Inbox, intake: Intake, calls: ApplicationCalls) -> None:
        self._inbox = inbox
        self._intake = intake
        self._calls = calls

    async def deliver(self, host: HeightHost, gossip: Gossip) -> None:
        """Verify the oldest messages together and let the height take the right ones in order."""
        batch = [received for received in self._inbox.take(MAX_BATCH) if received.message.height == host.height]
        right, wrong = await self._intake.sort(batch, host.engine)
        for received, reason in wrong:
            self._reject(received.source, reason, gossip)
        for received in right:
            await self._accept(received, host, gossip)

    async def _accept(self, received: Received, host: HeightHost, gossip: Gossip) -> None:
        message = received.message
        if isinstance(message, PartMessage):
            self._accept_part(message, received.source, host, gossip)
            return
        if not host.engine.wants(message):
            return  # another message of the batch said it
        match message:
            case SignedProposal():
                await host.receive(ProposalReceived(message, received.received_ms))
            case Vote():
                await host.receive(VoteReceived(message))
            case _:
                # Only what is news is logged, so that many certificates of the same votes do not fill the disk.
                news = host.engine.news(message)
                await host.receive(CertificateReceived(replace(message, votes=news)))
        gossip.accepted(message, received.source)
        if isinstance(message, SignedProposal):
            for part, source in host.values.adopt(message.parts.id):
                self._accept_part(part, source, host, gossip)

    def _accept_part(self, message: PartMessage, source: str, host: HeightHost, gossip: Gossip) -> None:
        if host.decision is not None:
            return
        try:
            is_news, complete = host.values.add(message, source)
        except ProtocolViolation as error:
            self._reject(source, str(error), gossip)
            return
        if is_news:
            gossip.accepted(message, source)
        if complete is not None:
            self._calls.submit(partial(host.check, complete))

    def _reject(self, source: str, reason: str, gossip: Gossip) -> None:
        gossip.rejected(source, reason)
        self._inbox.drop(source)
