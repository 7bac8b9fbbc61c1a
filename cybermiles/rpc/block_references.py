"""How a request names a block: by tag, number, hash, or EIP-1898 object; and which one it means.

On a chain with instant finality `latest`, `safe` and `finalized` are the same block. `pending` is the
block being built: for states it means the newest committed one, to which the pool adds what it knows.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from cybermiles.rpc.jsonrpc import SERVER_ERROR, RpcError
from cybermiles.rpc.quantities import parse_bool, parse_hash, parse_uint64

if TYPE_CHECKING:
    from cybermiles.rpc.jsonrpc import Json
    from cybermiles.rpc.ports import ChainReader
    from cybermiles.types.primitives import Hash32

_HASH_CHARS = 66
_GENESIS = 0


class Tag(StrEnum):
    """Names of blocks."""

    LATEST = "latest"
    PENDING = "pending"
    SAFE = "safe"
    FINALIZED = "finalized"
    EARLIEST = "earliest"


_TAGS = {tag.value: tag for tag in Tag}


class AtHash(NamedTuple):
    """A block by hash. Every committed block is canonical, so nothing else needs to be asked."""

    block_hash: Hash32


BlockNumber: TypeAlias = Tag | int
BlockReference: TypeAlias = Tag | int | AtHash


def parse_block_number(value: Json) -> BlockNumber:
    """Return a tag or height. Raises ValueError."""
    if isinstance(value, str):
        if (tag := _TAGS.get(value)) is not None:
            return tag
        if value.isalpha():
            raise ValueError(f'unknown block tag "{value[:20]}": use {", ".join(_TAGS)} or a hex number')
    return parse_uint64(value)


def parse_block_hash(value: Json) -> AtHash:
    """Return a block by its hash. Raises ValueError."""
    return AtHash(parse_hash(value))


def parse_block_reference(value: Json) -> BlockReference:
    """Return a tag, height, hash or EIP-1898 object. Raises ValueError."""
    if isinstance(value, dict):
        return _block_object(value)
    if isinstance(value, str) and len(value) == _HASH_CHARS:
        return AtHash(parse_hash(value))
    return parse_block_number(value)


def find_height(chain: ChainReader, reference: BlockReference) -> int | None:
    """Return the committed height meant, None where there is no such block."""
    head = chain.head_height()
    if isinstance(reference, AtHash):
        return chain.height_of(reference.block_hash)
    if isinstance(reference, Tag):
        return _GENESIS if reference is Tag.EARLIEST else head
    return reference if reference <= head else None


def state_height(chain: ChainReader, reference: BlockReference) -> int:
    """Return the height whose state is meant. Raises RpcError where there is no such block."""
    height = find_height(chain, reference)
    if height is None:
        by_hash = isinstance(reference, AtHash)
        raise RpcError(SERVER_ERROR, "header for hash not found" if by_hash else "header not found")
    return height


def _block_object(value: dict[str, Json]) -> BlockReference:
    number, block_hash = value.get("blockNumber"), value.get("blockHash")
    if number is not None and block_hash is not None:
        raise ValueError("cannot specify both blockHash and blockNumber, choose one or the other")
    if value.get("requireCanonical") is not None:
        parse_bool(value["requireCanonical"])
    if number is not None:
        return parse_block_number(number)
    if block_hash is not None:
        return AtHash(parse_hash(block_hash))
    raise ValueError("a block object needs blockNumber or blockHash")
