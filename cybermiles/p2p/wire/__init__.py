"""What travels on each channel: one module a protocol, each a closed set of message types.

    message = kind (1 byte) ‖ RLP of the kind's fields

Every kind has a limit in bytes that is checked before anything is decoded, every list one that is checked before its
items are. A message has one encoding. What breaks these rules raises DecodingError, an unknown kind ProtocolViolation;
either costs the peer.
"""
