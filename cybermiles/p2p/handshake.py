"""Two strangers become two authenticated peers with fresh keys: three messages and a verdict; sans-IO.

    initiator                                                     responder
    1  magic | e_i                                   ->
    2                                                <-  e_r | {identity_r}       sealed with responder's handshake key
    3  {identity_i} or {refusal}                     ->                           sealed with initiator's handshake key
    4                                                <-  {accept} or {refusal}

    identity = [0, ed25519 key, signature, node info]     refusal = [1, code, reason, addresses]     accept = [2]

The shape is Noise XX's: ephemeral X25519 keys, identities only under encryption, the responder's first. The identity is
an ed25519 signature over the transcript so far, the role and the key, so nothing can be replayed, reflected or carried
over into another connection (SIGMA). h is a running SHA-256 of all bytes on the wire; every key is derived from the
shared secret and h, and the traffic keys from all three messages, so who sees another transcript sees noise:

    h0 = H(name)   h1 = H(h0, message 1)   h2 = H(h1, e_r)   h3 = H(h2, sealed 2)   h4 = H(h3, sealed 3)
    k = HKDF-extract(salt h2, X25519)      handshake keys = expand(k, role)      traffic keys = expand(k, role, h4)

The ephemeral private key is an argument and is used once: forward secrecy, and no randomness in here. Lengths are
checked before anything is buffered. Whoever drives it sends `data_to_send()` after every call, also after a failed one,
since that may hold the refusal that tells the peer why.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cybermiles.crypto import ed25519, hkdf, x25519
from cybermiles.crypto.aead import TAG_BYTES, Cipher
from cybermiles.crypto.hashing import sha256
from cybermiles.errors import DecodingError, ProtocolViolation
from cybermiles.p2p.identity import NodeId, NodeKey, node_id
from cybermiles.p2p.node_info import (
    NodeInfo,
    Refusal,
    RefusalCode,
    decode_node_info,
    decode_refusal,
    encode_node_info,
    incompatibility,
    refusal_fields,
)
from cybermiles.p2p.scoring import Offence, PeerViolation
from cybermiles.types import rlp

MAGIC = b"CMT\x01"
"""First bytes on the wire: an HTTP client or another protocol is recognised at once."""
MAX_SEALED_BYTES = 4096
"""Bound of a sealed handshake message: a refusal with 16 addresses has about 1 kB, an identity at most 1.2 kB."""
_NAME = b"cybermiles p2p: X25519 ed25519 HKDF-SHA256 ChaCha20-Poly1305 v1"
_KEY_BYTES = 32
_LENGTH_BYTES = 2
_IDENTITY, _REFUSAL, _ACCEPT = 0, 1, 2


class Role(Enum):
    """Who dialed."""

    INITIATOR = b"initiator"
    RESPONDER = b"responder"

    @property
    def other(self) -> Role:
        """The peer's role."""
        return Role.RESPONDER if self is Role.INITIATOR else Role.INITIATOR


@dataclass(frozen=True, slots=True)
class Identified:
    """The peer proved who it is and belongs to this chain; answer with `accept` or `refuse`."""

    id: NodeId
    info: NodeInfo


@dataclass(frozen=True, slots=True)
class Established:
    """Both sides accepted."""

    send_key: bytes
    """32 bytes for `framing`."""
    receive_key: bytes
    early_data: bytes
    """What the peer sent after the handshake already: the beginning of its frames."""


class HandshakeRefused(ProtocolViolation):
    """One side did not want the other, which is no offence: `by_peer` says who refused, `refusal` why."""

    def __init__(self, refusal: Refusal, *, by_peer: bool) -> None:
        who = "the peer refused" if by_peer else "refused"
        super().__init__(f"{who}: {refusal.reason}")
        self.refusal = refusal
        self.by_peer = by_peer


class _State(Enum):
    AWAIT_HELLO = 1
    AWAIT_IDENTITY = 2
    DECIDE = 3
    AWAIT_VERDICT = 4
    DONE = 5


class Handshake:
    """One side of one handshake.

    Raises PeerViolation from `receive` when the peer breaks the protocol, HandshakeRefused when either side does not
    want the other; nothing more can be done with the object then but to send what `data_to_send` still returns.
    """

    def __init__(
        self,
        role: Role,
        *,
        key: NodeKey,
        ephemeral: bytes,
        info: NodeInfo,
        expected_id: NodeId | None = None,
    ) -> None:
        """`ephemeral` is a fresh X25519 private key; `expected_id` the id of a dialed address."""
        self._role = role
        self._node_key = key
        self._ephemeral = ephemeral
        self._ephemeral_public = x25519.public_key(ephemeral)
        self._info = info
        self._expected_id = expected_id
        self._hash = sha256(_NAME)
        self._traffic_hash = b""
        self._master = b""
        self._ciphers: dict[Role, Cipher] = {}
        self._sealed = dict.fromkeys(Role, 0)
        self._in = b""
        self._out = b""
        if role is Role.INITIATOR:
            self._state = _State.AWAIT_IDENTITY
            self._out = MAGIC + self._ephemeral_public
            self._mix(self._out)
        else:
            self._state = _State.AWAIT_HELLO

    def data_to_send(self) -> bytes:
        """Return what must go to the peer now."""
        data, self._out = self._out, b""
        return data

    def receive(self, data: bytes) -> Identified | Established | None:
        """Take bytes from the peer, split in any way, and return what happened."""
        self._in += data
        if self._state is _State.AWAIT_HELLO:
            self._read_hello()
        match self._state:
            case _State.AWAIT_IDENTITY:
                return self._read_identity()
            case _State.AWAIT_VERDICT:
                return self._read_verdict()
            case _State.DECIDE | _State.DONE:
                raise PeerViolation(Offence.BAD_HANDSHAKE, "bytes out of turn")
        return None

    def accept(self) -> Established | None:
        """Want the peer. The responder's link stands with it; the initiator waits for the verdict."""
        self._require_decision()
        if self._role is Role.INITIATOR:
            self._send_identity()
            self._traffic_hash = self._hash
            self._state = _State.AWAIT_VERDICT
            return None
        self._traffic_hash = self._hash
        self._seal([rlp.int_to_bytes(_ACCEPT)])
        return self._establish(b"")

    def refuse(self, refusal: Refusal) -> HandshakeRefused:
        """Tell the peer why it is not wanted and return the exception to end with."""
        self._require_decision()
        return self._refuse(refusal)

    def _read_hello(self) -> None:
        """Message 1: magic and the initiator's ephemeral key. Answers with message 2."""
        if not MAGIC.startswith(self._in[: len(MAGIC)]):
            raise PeerViolation(Offence.BAD_HANDSHAKE, "not a cybermiles node")
        if len(self._in) < len(MAGIC) + _KEY_BYTES:
            return
        hello = self._take(len(MAGIC) + _KEY_BYTES)
        self._mix(hello)
        self._out += self._ephemeral_public
        self._mix(self._ephemeral_public)
        self._agree(hello[len(MAGIC) :])
        self._send_identity()
        self._state = _State.AWAIT_IDENTITY

    def _read_identity(self) -> Identified | None:
        """Message 2 at the initiator, 3 at the responder."""
        if self._role is Role.INITIATOR and not self._ciphers:
            if len(self._in) < _KEY_BYTES:
                return None
            theirs = self._take(_KEY_BYTES)
            self._mix(theirs)
            self._agree(theirs)
        signed = self._hash
        fields = self._read_sealed()
        if fields is None:
            return None
        if self._in:
            raise PeerViolation(Offence.BAD_HANDSHAKE, "bytes out of turn")
        if _kind(fields) == _REFUSAL:
            raise self._refused(fields)
        identified = self._check_identity(fields, signed)
        self._state = _State.DECIDE
        refusal = self._objection(identified)
        if refusal is not None:
            raise self._refuse(refusal)
        return identified

    def _check_identity(self, fields: list[rlp.Item], signed: bytes) -> Identified:
        try:
            _, public_item, signature_item, info_item = rlp.as_list(fields, length=4)
            public = rlp.as_bytes(public_item, size=_KEY_BYTES)
            signature = rlp.as_bytes(signature_item, size=64)
            info = decode_node_info(rlp.as_bytes(info_item))
        except DecodingError as error:
            raise PeerViolation(Offence.BAD_HANDSHAKE, str(error)) from error
        if not ed25519.verify(public, _statement(self._role.other, signed, public), signature):
            raise PeerViolation(Offence.BAD_HANDSHAKE, "the signature over the transcript is false")
        return Identified(node_id(public), info)

    def _objection(self, peer: Identified) -> Refusal | None:
        if peer.id == self._node_key.id:
            return Refusal(RefusalCode.SELF, "the node reached itself")
        if self._expected_id not in (None, peer.id):
            return Refusal(RefusalCode.WRONG_ID, f"dialed {self._expected_id}, reached {peer.id}")
        return incompatibility(self._info, peer.info)

    def _read_verdict(self) -> Established | None:
        """Message 4 at the initiator."""
        fields = self._read_sealed()
        if fields is None:
            return None
        if _kind(fields) == _REFUSAL:
            raise self._refused(fields)
        if _kind(fields) != _ACCEPT or len(fields) != 1:
            raise PeerViolation(Offence.BAD_HANDSHAKE, "neither accepted nor refused")
        return self._establish(self._take(len(self._in)))

    def _establish(self, early_data: bytes) -> Established:
        self._state = _State.DONE
        keys = {role: hkdf.expand(self._master, b"traffic " + role.value + self._traffic_hash) for role in Role}
        return Established(keys[self._role], keys[self._role.other], early_data)

    def _send_identity(self) -> None:
        key = self._node_key
        signature = ed25519.sign(key.private, _statement(self._role, self._hash, key.public))
        self._seal([rlp.int_to_bytes(_IDENTITY), key.public, signature, encode_node_info(self._info)])

    def _refuse(self, refusal: Refusal) -> HandshakeRefused:
        self._seal([rlp.int_to_bytes(_REFUSAL), *refusal_fields(refusal)])
        self._state = _State.DONE
        return HandshakeRefused(refusal, by_peer=False)

    def _refused(self, fields: list[rlp.Item]) -> ProtocolViolation:
        self._state = _State.DONE
        try:
            return HandshakeRefused(decode_refusal(fields[1:]), by_peer=True)
        except DecodingError as error:
            return PeerViolation(Offence.BAD_HANDSHAKE, str(error))

    def _require_decision(self) -> None:
        if self._state is not _State.DECIDE:
            raise ValueError("accept and refuse answer `Identified`, once")

    def _agree(self, theirs: bytes) -> None:
        if theirs == self._ephemeral_public:
            raise PeerViolation(Offence.BAD_HANDSHAKE, "our own ephemeral key came back")
        try:
            shared = x25519.shared_secret(self._ephemeral, theirs)
        except DecodingError as error:
            raise PeerViolation(Offence.BAD_HANDSHAKE, str(error)) from error
        self._ephemeral = b""
        self._master = hkdf.extract(self._hash, shared)
        self._ciphers = {role: Cipher(hkdf.expand(self._master, b"handshake " + role.value)) for role in Role}

    def _seal(self, fields: list[rlp.Encodable]) -> None:
        cipher, counter = self._ciphers[self._role], self._sealed[self._role]
        sealed = cipher.seal(counter, rlp.encode(fields), self._hash)
        self._sealed[self._role] += 1
        self._mix(sealed)
        self._out += len(sealed).to_bytes(_LENGTH_BYTES) + sealed

    def _read_sealed(self) -> list[rlp.Item] | None:
        """Return the fields of the next sealed message, or None while it is incomplete."""
        if len(self._in) < _LENGTH_BYTES:
            return None
        size = int.from_bytes(self._in[:_LENGTH_BYTES])
        if not TAG_BYTES < size <= MAX_SEALED_BYTES:
            raise PeerViolation(Offence.BAD_HANDSHAKE, f"message of {size} bytes")
        if len(self._in) < _LENGTH_BYTES + size:
            return None
        sealed = self._take(_LENGTH_BYTES + size)[_LENGTH_BYTES:]
        other = self._role.other
        try:
            plaintext = self._ciphers[other].open(self._sealed[other], sealed, self._hash)
            fields = rlp.as_list(rlp.decode(plaintext, max_depth=3))
        except DecodingError as error:
            raise PeerViolation(Offence.BAD_HANDSHAKE, str(error)) from error
        self._sealed[other] += 1
        self._mix(sealed)
        return fields

    def _take(self, size: int) -> bytes:
        data, self._in = self._in[:size], self._in[size:]
        return data

    def _mix(self, data: bytes) -> None:
        self._hash = sha256(self._hash + data)


def _statement(role: Role, transcript: bytes, public: bytes) -> bytes:
    """Return what a node signs: fixed lengths, and no other signature of this protocol begins like it."""
    return b"cybermiles p2p identity " + role.value + transcript + public


def _kind(fields: list[rlp.Item]) -> int:
    try:
        return rlp.as_int(fields[0], bits=8) if fields else -1
    except DecodingError:
        return -1
