"""URLs that only we can have made: what a frame of an opaque origin may load without a cookie. Pure.

A message's frame sends no cookies, as its origin is nobody's. So each picture it may load has a URL that names the
account and an end, signed with a key of this server. HMAC-SHA-256, 128 bits of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

LIFETIME_S = 6 * 3600
_STEP_S = 1800  # the same picture keeps its URL, and so its place in the browser's cache, for a while


@dataclass(frozen=True, slots=True)
class Signer:
    """`key` is of this purpose alone. `account`: whose tickets these are."""

    key: bytes
    account: str
    expires: int

    @classmethod
    def until(cls, key: bytes, account: str, now: float) -> Signer:
        """Tickets that are good for LIFETIME_S, more or less."""
        return cls(key, account, (int(now + LIFETIME_S) // _STEP_S + 1) * _STEP_S)

    def proxy(self, url: str) -> str:
        """Of a picture somewhere else."""
        mark = sign(self.key, "image", self.account, str(self.expires), url)
        return f"/image?{urlencode({'account': self.account, 'url': url, 'expires': self.expires, 'sig': mark})}"

    def preview(self, blob: str, width: int) -> str:
        """Of a picture within the message."""
        path = f"/preview/{self.account}/{blob}"
        mark = sign(self.key, "preview", self.account, str(self.expires), blob)
        return f"{path}?{urlencode({'width': width, 'expires': self.expires, 'sig': mark})}"


def derive_key(secret: bytes) -> bytes:
    """Of the server's secret."""
    return hmac.digest(secret, b"posthouse pictures of messages", hashlib.sha256)


def sign(key: bytes, *parts: str) -> str:
    """Lengths stand with the parts, so that none can pretend to be two."""
    text = "".join(f"{len(part)}:{part}" for part in parts)
    mark = hmac.digest(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)[:16]
    return base64.urlsafe_b64encode(mark).rstrip(b"=").decode("ascii")


def is_good(key: bytes, kind: str, account: str, what: str, query: Mapping[str, str], now: float) -> bool:
    """Whether `query` has a mark of ours that is not over."""
    expires, mark = query.get("expires", ""), query.get("sig", "")
    if not expires.isascii() or not expires.isdigit() or len(expires) > 12 or not mark.isascii():
        return False
    return hmac.compare_digest(sign(key, kind, account, expires, what), mark) and now < int(expires)
