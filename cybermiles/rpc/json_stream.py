"""Cuts a stream of bytes into JSON documents, sans-IO: what a Unix socket carries has no frames.

Clients end a document with a newline, or with nothing but its last bracket. So a document ends where the bracket it
began with closes; what begins with no bracket ends with its line, and is left to the parser to refuse.
"""

from __future__ import annotations

import re

_OUTSIDE = re.compile(rb'["\[\]{}\n]')
_INSIDE = re.compile(rb'["\\]')


class JsonSplitter:
    """Takes bytes as they come. Keeps at most one unfinished document."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_string = False

    @property
    def kept_bytes(self) -> int:
        """Bytes of the unfinished document: whoever feeds it bounds this."""
        return len(self._kept)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the documents that end in `data`."""
        self._kept += data
        documents: list[bytes] = []
        while (mark := (_INSIDE if self._in_string else _OUTSIDE).search(self._kept, self._scanned)) is not None:
            self._scanned = mark.end()
            if self._ends(mark.group()):
                document = bytes(self._kept[: self._scanned]).strip()
                del self._kept[: self._scanned]
                self._scanned = self._depth = 0
                if document:
                    documents.append(document)
            elif self._scanned > len(self._kept):  # a backslash whose partner has not come yet
                return documents
        self._scanned = max(self._scanned, len(self._kept))
        return documents

    def _ends(self, mark: bytes) -> bool:
        """Take one mark; True where a document ends with it."""
        if mark == b'"':
            self._in_string = not self._in_string
        elif mark == b"\\":
            self._scanned += 1
        elif mark in (b"[", b"{"):
            self._depth += 1
        elif mark != b"\n":
            self._depth -= 1
            return self._depth <= 0
        return mark == b"\n" and self._depth == 0
