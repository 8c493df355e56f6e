"""Binary data (RFC 8620 §6): what an upload is answered, how a download is named, Blob/copy. Pure.

A download's type is what the URL asks for and nothing that a message said: `check_media_type` lets through what can be
a Content-Type, and whoever answers makes sure that no browser shows it as a page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from posthouse.protocol.jmap.arguments import Arguments
from posthouse.protocol.jmap.errors import SetError

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"\\/%]+")
_MAX_NAME = 200
OCTETS = "application/octet-stream"


class UploadResponse(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8620 §6.1."""

    account_id: str
    blob_id: str
    type: str
    size: int


class BlobCopyArguments(Arguments, kw_only=True):
    """RFC 8620 §6.3."""

    from_account_id: str
    account_id: str
    blob_ids: list[str]


class BlobCopyResponse(msgspec.Struct, frozen=True, rename="camel"):
    """RFC 8620 §6.3; None where there is nothing to tell."""

    from_account_id: str
    account_id: str
    copied: Mapping[str, str] | None = None
    not_copied: Mapping[str, SetError] | None = None


def check_media_type(text: str) -> str:
    """The type without parameters, in lower case; what is none is octets."""
    kind = text.partition(";")[0].strip()
    return kind.lower() if _MEDIA_TYPE.fullmatch(kind) else OCTETS


def write_disposition(name: str) -> str:
    """Content-Disposition of a download (RFC 6266 §4.3), in ASCII: always as a file to be saved."""
    clean = _UNSAFE.sub("_", name)[:_MAX_NAME].strip(" .") or "file"
    if clean.isascii():
        return f'attachment; filename="{clean}"'
    plain = clean.encode("ascii", "replace").decode("ascii").replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='', errors='replace')}"
