"""What two nodes tell each other inside the encrypted handshake, and whether they belong together.

Chain id, genesis hash and protocol version must be equal and at least one channel shared; everything else is for
people. A refusal says which rule failed in words that an operator can act on, and a node that is full adds addresses
of others. The encodings are canonical RLP with every field bounded before it is used.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from cybermiles.errors import ConfigError, DecodingError
from cybermiles.p2p.identity import Endpoint, NodeId, PeerAddress
from cybermiles.types import rlp

if TYPE_CHECKING:
    from collections.abc import Sequence

PROTOCOL_VERSION = 1
"""Raised when links, channels or their messages change so that older nodes cannot follow."""
MAX_CHANNELS = 32
MAX_TEXT_BYTES = 64
"""Moniker and software version."""
MAX_LISTEN_BYTES = 262
"""A host name of 253 bytes, a colon, a port, and brackets."""
MAX_REASON_BYTES = 200
MAX_REFERRALS = 16
"""Addresses that come with a refusal."""
MAX_NODE_INFO_BYTES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeInfo:
    """A node's description of itself."""

    chain_id: int
    """EIP-155 id, up to 2^64 - 1."""
    genesis_hash: bytes
    """32 bytes."""
    channels: tuple[int, ...] = ()
    """Channel ids it speaks, ascending."""
    listen_address: str = ""
    """host:port where it accepts peers, or "" when it does not say."""
    moniker: str = ""
    """A name for people, up to 64 printable ASCII characters; proves nothing."""
    software_version: str = ""
    """Up to 64 printable ASCII characters."""
    protocol_version: int = PROTOCOL_VERSION

    @property
    def listen_endpoint(self) -> Endpoint | None:
        """The listening address, or None where there is none."""
        return Endpoint.parse(self.listen_address) if self.listen_address else None


class RefusalCode(IntEnum):
    """Why a handshake ended without a link."""

    INCOMPATIBLE = 1
    """Another protocol version, or no channel in common."""
    WRONG_CHAIN = 2
    WRONG_GENESIS = 3
    WRONG_ID = 4
    """The dialed address belongs to another node."""
    SELF = 5
    """The node reached itself."""
    FULL = 6
    """No slot is free; try the addresses that come along."""
    DUPLICATE = 7
    """There is a link between the two already."""
    BANNED = 8
    CLOSING = 9
    """The node is shutting down."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to a peer that is not wanted."""

    code: RefusalCode
    reason: str
    """Up to 200 printable ASCII characters."""
    addresses: tuple[PeerAddress, ...] = ()
    """At most 16 other nodes, by IP address."""


def incompatibility(ours: NodeInfo, theirs: NodeInfo) -> Refusal | None:
    """Return why the two nodes do not belong together, or None where they do."""
    if theirs.protocol_version != ours.protocol_version:
        return Refusal(
            RefusalCode.INCOMPATIBLE,
            f"p2p protocol version {theirs.protocol_version}, we speak {ours.protocol_version}; upgrade the older node",
        )
    if theirs.chain_id != ours.chain_id:
        return Refusal(RefusalCode.WRONG_CHAIN, f"chain id {theirs.chain_id}, ours is {ours.chain_id}")
    if theirs.genesis_hash != ours.genesis_hash:
        return Refusal(
            RefusalCode.WRONG_GENESIS, f"genesis {theirs.genesis_hash.hex()[:16]}, ours {ours.genesis_hash.hex()[:16]}"
        )
    if not any(channel in theirs.channels for channel in ours.channels):
        return Refusal(RefusalCode.INCOMPATIBLE, "no channel in common")
    return None


def encode_node_info(info: NodeInfo) -> bytes:
    """Return the encoding. Raises ConfigError where a field is over its bound."""
    if len(info.channels) > MAX_CHANNELS or tuple(sorted(dict.fromkeys(info.channels))) != info.channels:
        raise ConfigError(f"a node has at most {MAX_CHANNELS} channels, ascending")
    for text, limit in ((info.moniker, MAX_TEXT_BYTES), (info.software_version, MAX_TEXT_BYTES)):
        if len(text) > limit or not _is_printable(text):
            raise ConfigError(f'"{text}" must be at most {limit} printable ASCII characters')
    fields: list[bytes] = [
        rlp.int_to_bytes(info.protocol_version),
        rlp.int_to_bytes(info.chain_id),
        info.genesis_hash,
        bytes(info.channels),
        info.listen_address.encode("ascii"),
        info.moniker.encode("ascii"),
        info.software_version.encode("ascii"),
    ]
    return rlp.encode(fields)


def decode_node_info(data: bytes) -> NodeInfo:
    """Return the description that the bytes are. Raises DecodingError."""
    if len(data) > MAX_NODE_INFO_BYTES:
        raise DecodingError(f"node info of {len(data)} bytes, at most {MAX_NODE_INFO_BYTES}")
    fields = rlp.as_list(rlp.decode(data, max_depth=1), length=7)
    channels = rlp.as_bytes(fields[3])
    if len(channels) > MAX_CHANNELS or bytes(sorted(dict.fromkeys(channels))) != channels:
        raise DecodingError("node info: channels are not ascending or too many")
    info = NodeInfo(
        protocol_version=rlp.as_int(fields[0], bits=32),
        chain_id=rlp.as_int(fields[1], bits=64),
        genesis_hash=rlp.as_bytes(fields[2], size=32),
        channels=tuple(channels),
        listen_address=decode_text(fields[4], MAX_LISTEN_BYTES),
        moniker=decode_text(fields[5], MAX_TEXT_BYTES),
        software_version=decode_text(fields[6], MAX_TEXT_BYTES),
    )
    try:
        endpoint = info.listen_endpoint
    except ConfigError as error:
        raise DecodingError(f"node info: listen address {error}") from error
    if endpoint is not None and str(endpoint) != info.listen_address:
        raise DecodingError("node info: listen address is not in its canonical form")
    return info


def refusal_fields(refusal: Refusal) -> list[rlp.Encodable]:
    """Return the RLP fields of a refusal; the reason is cut to its bound, addresses without IP are left out."""
    return [
        rlp.int_to_bytes(refusal.code),
        clean_text(refusal.reason, MAX_REASON_BYTES).encode("ascii"),
        address_fields(refusal.addresses[:MAX_REFERRALS]),
    ]


def decode_refusal(fields: list[rlp.Item]) -> Refusal:
    """Return the refusal of its three RLP fields. Raises DecodingError."""
    if len(fields) != 3:
        raise DecodingError(f"a refusal has 3 fields, not {len(fields)}")
    try:
        code = RefusalCode(rlp.as_int(fields[0], bits=8))
    except ValueError as error:
        raise DecodingError("refusal: unknown code") from error
    return Refusal(code, decode_text(fields[1], MAX_REASON_BYTES), decode_addresses(fields[2], MAX_REFERRALS))


def address_fields(addresses: Sequence[PeerAddress]) -> list[rlp.Encodable]:
    """Return the RLP fields of addresses: id, packed IP, port. Those with a host name are left out."""
    fields: list[rlp.Encodable] = []
    for address in addresses:
        ip = address.endpoint.ip
        if ip is not None:
            fields.append([bytes.fromhex(address.id), ip.packed, rlp.int_to_bytes(address.endpoint.port)])
    return fields


def decode_addresses(item: rlp.Item, limit: int) -> tuple[PeerAddress, ...]:
    """Return at most `limit` addresses. Raises DecodingError for more, or for one that cannot be an address."""
    entries = rlp.as_list(item)
    if len(entries) > limit:
        raise DecodingError(f"{len(entries)} addresses, at most {limit}")
    return tuple(_decode_address(entry) for entry in entries)


def _decode_address(entry: rlp.Item) -> PeerAddress:
    id_, packed, port_item = rlp.as_list(entry, length=3)
    host, port = rlp.as_bytes(packed), rlp.as_int(port_item, bits=16)
    if len(host) not in (4, 16) or port == 0:
        raise DecodingError("address: an IP address has 4 or 16 bytes, a port is not 0")
    ip = ipaddress.ip_address(host)
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        raise DecodingError("address: IPv4 mapped into IPv6 is not canonical")
    return PeerAddress(NodeId(rlp.as_bytes(id_, size=20).hex()), Endpoint(str(ip), port))


def decode_text(item: rlp.Item, limit: int) -> str:
    """Return printable ASCII text of at most `limit` characters. Raises DecodingError."""
    data = rlp.as_bytes(item)
    text = data.decode("ascii", errors="replace")
    if len(data) > limit or not _is_printable(text):
        raise DecodingError(f"a text of at most {limit} printable ASCII characters is expected")
    return text


def clean_text(text: str, limit: int) -> str:
    """Return the text as a peer would accept it: cut, and with "?" for what is not printable ASCII."""
    return "".join(each if " " <= each <= "~" else "?" for each in text[:limit])


def _is_printable(text: str) -> bool:
    return all(" " <= each <= "~" for each in text)
