"""Who a node is and where it listens: key, id, "id@host:port".

A node's id is the first 20 bytes of the SHA-256 of its ed25519 public key, in hex. Whoever dials an address checks the
id in the handshake, so an address names one key and not a machine.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import NewType

from cybermiles.crypto import ed25519
from cybermiles.crypto.hashing import sha256
from cybermiles.errors import ConfigError

NodeId = NewType("NodeId", str)
"""40 lower-case hex digits."""

_ID = re.compile(r"[0-9a-f]{40}")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_HOST = 253


def node_id(public_key: bytes) -> NodeId:
    """Return the id of an ed25519 public key."""
    return NodeId(sha256(public_key)[:20].hex())


def parse_node_id(text: str) -> NodeId:
    """Return the id that the text is. Raises ConfigError for anything but 40 hex digits."""
    lowered = text.strip().lower()
    if not _ID.fullmatch(lowered):
        raise ConfigError(f'"{text}" is not a node id; write the 40 hex digits that `cmt node show-id` prints')
    return NodeId(lowered)


@dataclass(frozen=True, slots=True)
class NodeKey:
    """The ed25519 key that a node proves itself with to its peers."""

    private: bytes = field(repr=False)
    """32 bytes."""
    public: bytes
    """32 bytes."""

    @classmethod
    def generate(cls) -> NodeKey:
        """Return a new random key."""
        return cls.from_private(ed25519.generate())

    @classmethod
    def from_private(cls, private: bytes) -> NodeKey:
        """Return the key pair of a 32-byte private key."""
        return cls(private, ed25519.public_key(private))

    @property
    def id(self) -> NodeId:
        """The id that peers know it by."""
        return node_id(self.public)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where somebody listens."""

    host: str
    """IP address or DNS name, without brackets."""
    port: int
    """1 to 65535; 0 only for a listening address, where it takes a free port."""

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read "host:port" or "[IPv6]:port". Raises ConfigError saying what is wrong."""
        match = re.fullmatch(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})", text.strip(), re.ASCII)
        if match is None:
            raise ConfigError(f'"{text}" is not an address; write host:port, or [address]:port for IPv6')
        host = match["host"] if match["v6"] is None else match["v6"]
        port = int(match["port"])
        if port > 65_535:
            raise ConfigError(f'"{text}": port {port} is over 65535')
        if match["v6"] is not None and ip_address(host) is None:
            raise ConfigError(f'"{text}": {host} is not an IPv6 address')
        if ip_address(host) is None and not _is_name(host):
            raise ConfigError(f'"{text}": "{host}" is neither an IP address nor a host name')
        return cls(host, port)

    @property
    def ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        """The IP address, or None where the host is a name."""
        return ip_address(self.host)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A node that can be dialed: its id and where it listens."""

    id: NodeId
    endpoint: Endpoint

    @classmethod
    def parse(cls, text: str) -> PeerAddress:
        """Read "id@host:port". Raises ConfigError saying what is wrong."""
        id_text, at, endpoint = text.strip().partition("@")
        if not at:
            raise ConfigError(f'"{text}" has no node id; write id@host:port')
        address = cls(parse_node_id(id_text), Endpoint.parse(endpoint))
        if address.endpoint.port == 0:
            raise ConfigError(f'"{text}": a peer cannot be dialed at port 0')
        return address

    def __str__(self) -> str:
        return f"{self.id}@{self.endpoint}"


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that the text is, IPv4 also where it is mapped into IPv6; None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_loopback(host: str) -> bool:
    """Whether the host is this machine's own address."""
    address = ip_address(host)
    return address is not None and address.is_loopback


def address_block(host: str) -> str:
    """Return the least that one party has of the address space: an IPv4 address, or an IPv6 /64."""
    address = ip_address(host)
    if address is None or address.version == 4:
        return host if address is None else str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))


def network_group(host: str) -> str:
    """Return the group of addresses that one party may well own all of: the IPv4 /16 or IPv6 /32.

    Addresses that the Internet does not route stand each for itself: there is no renting them by the thousand, and a
    private network may put all its nodes into one /16.
    """
    address = ip_address(host)
    if address is None or not address.is_global:
        return host
    bits = 16 if address.version == 4 else 32
    return str(ipaddress.ip_network((address, bits), strict=False))


def _is_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    numeric = labels[-1].isdigit()
    return len(host) <= _MAX_HOST and not numeric and all(_LABEL.fullmatch(label) for label in labels)
