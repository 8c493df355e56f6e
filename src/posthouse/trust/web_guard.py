"""What a browser must show before its cookie counts, and the cookie itself. Pure: facts of a request in, answers out.

Cookie: `__Host-posthouse` (Secure) where the browser came by https, to us or to a proxy that says so; on this machine
without TLS plain `posthouse`, for browsers keep no Secure cookie there. Elsewhere without TLS nobody signs in. Always
HttpOnly and SameSite=Strict: a page of another site cannot make a browser send it, scripts cannot read it.

CSRF, although SameSite should do: a request that may change something needs the header `X-Posthouse: 1`, which another
origin cannot set without asking, and may not name another origin. A request that only reads may not come from another
site's page (Sec-Fetch-Site): answers are not to be embedded or timed elsewhere. Browsers that send neither
Sec-Fetch-Site nor Origin are old; the header and SameSite still hold for them.

RFC 6265 §4.1; the prefix `__Host-` and SameSite are of its draft successor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SECURE_NAME: Final = "__Host-posthouse"
PLAIN_NAME: Final = "posthouse"
HEADER: Final = "x-posthouse"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    """`origin` is ours as the browser would write it; `is_local`: it never left this machine. Header names in lower
    case.
    """

    method: str
    headers: Mapping[str, str]
    origin: str
    is_https: bool
    is_local: bool


def may_sign_in(request: BrowserRequest) -> bool:
    """What is typed, and the cookie that comes of it, cannot be read on the way."""
    return request.is_https or request.is_local


def cookie_name(request: BrowserRequest) -> str:
    return SECURE_NAME if request.is_https else PLAIN_NAME


def find_token(request: BrowserRequest, cookies: Mapping[str, str]) -> str:
    """ "" without one. Over https only the name that needs https counts."""
    return cookies.get(cookie_name(request), "") if may_sign_in(request) else ""


def make_cookie(request: BrowserRequest, token: str, longest_s: float) -> str:
    """The value of Set-Cookie."""
    secure = "; Secure" if request.is_https else ""
    return f"{cookie_name(request)}={token}; Path=/; Max-Age={int(longest_s)}; HttpOnly; SameSite=Strict{secure}"


def make_end(request: BrowserRequest) -> str:
    return make_cookie(request, "", 0)


def find_forgery(request: BrowserRequest, *, is_socket: bool = False) -> str:
    """Why a request with our cookie is not believed to come from our own page; "" when it is.

    `is_socket`: the handshake of a WebSocket is a GET that changes things (RFC 6455 §10.2): it must name our origin.
    """
    is_unsafe = request.method not in _SAFE
    if is_unsafe and request.headers.get(HEADER) != "1":
        return "The header X-Posthouse: 1 is missing"
    site = request.headers.get("sec-fetch-site", "")
    if site not in ("", "same-origin") and not (site == "none" and not is_unsafe and not is_socket):
        return "This request was made by a page of another site"
    origin = request.headers.get("origin", "")
    if is_socket and not origin:
        return "The Origin is missing"
    if origin and origin.lower() != request.origin.lower():
        return "This request was made by a page of another origin"
    return ""
