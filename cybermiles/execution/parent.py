"""What a block is executed on top of: the parent's header, its state, and the chain's constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cybermiles.chain.issuance import IssuanceSchedule
    from cybermiles.chain.params import ChainParams
    from cybermiles.state.reader import NodeReader, StateReader
    from cybermiles.types.header import Header
    from cybermiles.types.primitives import ChainId, Hash32
    from cybermiles.types.validator import ValidatorSet
    from cybermiles.vm.backend import EvmBackend

APP_VERSION = 1
"""Version of the state transition; every header commits to it. A rule change raises it at a height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What never changes during the life of a chain."""

    chain_id: ChainId
    genesis_hash: Hash32
    allow_unprotected: bool
    """Whether legacy transactions without chain id are accepted."""
    issuance: IssuanceSchedule
    backend: EvmBackend


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
    validators: ValidatorSet
    """Who decides the next block."""
    next_validators: ValidatorSet
    """Who decides the block after it."""
