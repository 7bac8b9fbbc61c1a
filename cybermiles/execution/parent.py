"""What a block is executed on top of: the parent's header, its state, and the chain's constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cybermiles.chain.predeploys import GOVERNANCE
from cybermiles.governance.proposals import app_version
from cybermiles.state.slots import ReadStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cybermiles.chain.params import ChainParams
    from cybermiles.state.reader import NodeReader, StateReader
    from cybermiles.state.world import WorldState
    from cybermiles.types.evidence import Misbehaviour
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import ChainId, Hash32
    from cybermiles.types.validator import ValidatorSet
    from cybermiles.vm.backend import BlockContext, EvmBackend

APP_VERSION = 1
"""Newest version of the state transition that this software has; every header commits to its block's."""
SUPPORTED_APP_VERSIONS = (1,)
"""Versions it can execute blocks of: `APP_VERSION`, and those before it in the chain's history."""


class Election(Protocol):
    """Decides at the end of a block who votes two heights later, in place of staking's election."""

    def elect(self, world: WorldState, height: int, misbehaviour: Sequence[Misbehaviour]) -> ValidatorSet | None:
        """Return the set of `height` + 2, or None where it is that of `height` + 1.

        Part of the state transition: a pure function of its arguments, which may change the world.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What never changes during the life of a chain."""

    chain_id: ChainId
    genesis_hash: Hash32
    allow_unprotected: bool
    """Whether legacy transactions without chain id are accepted."""
    backend: EvmBackend
    election: Election | None = None
    """None: by stake (`staking.election`)."""
    contexts: CallContexts | None = None
    """None: CyberMiles' own (`execution.simulate`). A foreign chain has other fees and other block hashes."""


class CallContexts(Protocol):
    """Says what code called in the context of a committed block finds around it, in place of CyberMiles' own rules."""

    def context(self, header: Header, state: StateReader, params: ChainParams) -> BlockContext:
        """Return the context of a call at `header`, on the state after it."""
        ...


class History(Protocol):
    """Facts of the committed heights, by which evidence and commits are judged."""

    def validators(self, height: int) -> ValidatorSet | None:
        """Return who decides a height, None where that is not known: before 1 and after the head's + 2."""
        ...

    def timestamp(self, height: int) -> int | None:
        """Return the header time of a committed block in seconds, None above the head."""
        ...

    def has_evidence(self, evidence_hash: Hash32) -> bool:
        """Tell whether a committed block contains this evidence."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The committed block that the next one extends. Read-only."""

    header: Header
    state: StateReader
    """State after `header`."""
    nodes: NodeReader
    """Trie nodes of that state."""
    params: ChainParams
    """In force for the next block."""
    history: History
    """Of the heights up to `header`."""
    validators: ValidatorSet
    """Who decides the next block."""
    next_validators: ValidatorSet
    """Who decides the block after it."""

    @property
    def state_root(self) -> Hash32:
        """Root of `state`."""
        return self.header.state_root

    @property
    def app_version(self) -> int:
        """Version of the state transition for the next block, as members decided."""
        return app_version(ReadStorage(self.state, GOVERNANCE))
