"""Blob ids: what octets a client may ask for by which name (RFC 8620 §6). Pure.

    B17         the message of email 17
    B17-1_2     the content of its part 1.2, transfer encoding undone
    B17-2-1     part 1 of the message that is part 2: as it is when that part was parsed on its own
    Uabc        an upload; Uabc-1 a part of it

A part's id follows from the email's, so that nothing is kept for it, and what it names never changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from posthouse.message.mailbox import EmailId

_BLOB = re.compile(
    r"(?:B([1-9][0-9]{0,17})|U([A-Za-z0-9]{1,64}))((?:-[0-9]{1,6}(?:_[0-9]{1,6}){0,100}){0,8})", re.ASCII
)
_MAX_ID = 255


@dataclass(frozen=True, slots=True)
class BlobId:
    """Either `email` or `upload`. `sections`: from part to part, each as IMAP numbers it within its message."""

    email: EmailId | None = None
    upload: str = ""
    sections: tuple[str, ...] = ()

    def below(self, section: str) -> BlobId:
        """The blob of a part of this one, which is a message."""
        return BlobId(self.email, self.upload, (*self.sections, section))

    def __str__(self) -> str:
        start = f"B{self.email}" if self.email is not None else f"U{self.upload}"
        return "-".join([start, *[section.replace(".", "_") for section in self.sections]])


def read_blob_id(text: str) -> BlobId | None:
    """None: there can be no such blob."""
    found = _BLOB.fullmatch(text) if len(text) <= _MAX_ID else None
    if found is None:
        return None
    sections = tuple(found[3].replace("_", ".").split("-")[1:])
    return BlobId(EmailId(int(found[1])) if found[1] else None, found[2] or "", sections)
