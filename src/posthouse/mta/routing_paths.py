"""Paths of Maildirs from a route's template: what a stranger wrote becomes one safe path segment.

Octets outside `A-Z a-z 0-9 _ + = @ , - .`, and a leading dot, are written as %XX of their UTF-8 form, so two
addresses never share a path and none leaves its directory. Local parts are taken in lower case: `Ann@` and `ann@`
are one mailbox. A segment that would be longer than a file name may be ends in a hash of the whole.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from posthouse.message.address import Address
from posthouse.message.nexthop import MaildirHop
from posthouse.mta.targets import MaildirBox

_SAFE = re.compile(r"[a-z0-9_+=@,-][a-z0-9_+=@,.-]{0,99}")
_UNSAFE = re.compile(rb"^\.|[^A-Za-z0-9_+=@,.-]")
_MAX_NAME = 255


class BoxMaker:
    """The Maildirs of one domain under a route's template."""

    __slots__ = ("_path", "_root")

    def __init__(self, hop: MaildirHop, ascii_domain: str) -> None:
        self._root = hop.root
        domain = ascii_domain if _SAFE.fullmatch(ascii_domain) else make_segment(ascii_domain)
        self._path = hop.template.replace("{domain}", domain)

    def make(self, address: Address) -> MaildirBox:
        local: str = address.local
        if not _SAFE.fullmatch(local):
            local = make_segment(unicodedata.normalize("NFC", local).lower())
        path = self._path.replace("{local}", local)
        if len(path) > _MAX_NAME:
            path = "/".join(_shorten(name) for name in path.split("/"))
        return MaildirBox(self._root, path)


def make_segment(text: str) -> str:
    """One path segment that is never empty, "." or "..", and holds no "/" or NUL; different for different texts."""
    octets = text.encode("utf-8", "surrogatepass")
    return _UNSAFE.sub(lambda found: b"%%%02X" % found[0][0], octets).decode("ascii") or "%"


def _shorten(name: str) -> str:
    if len(name.encode()) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return name.encode()[: _MAX_NAME - 33].decode("utf-8", "ignore") + "%" + digest
