"""Columns of emails as IMAP sends them: what `Messages.wire` is asked for."""

from __future__ import annotations

import enum


class WireColumn(enum.Enum):
    """In rows: int unless it says otherwise."""

    EMAIL = enum.auto()
    THREAD = enum.auto()
    SIZE = enum.auto()  # of prefix and body
    PREFIX_SIZE = enum.auto()
    HEADER_SIZE = enum.auto()  # of the body's own header, with the blank line
    RECEIVED = enum.auto()  # microseconds since 1970
    ZONE = enum.auto()  # minutes
    SAVED = enum.auto()  # microseconds since 1970
    ENVELOPE = enum.auto()  # bytes
    STRUCTURE = enum.auto()  # bytes
    HEAD = enum.auto()  # bytes: prefix and cached header fields
    PREVIEW = enum.auto()  # str
    OCTETS = enum.auto()  # bytes: prefix and body; None: too long for it, or in a file, to be read by Blobs


MAX_WIRE_OCTETS = 1 << 20  # longer ones are not among OCTETS
