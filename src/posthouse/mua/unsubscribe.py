"""How to leave a mailing list, as its messages say (RFC 2369 §3.2, RFC 8058). Pure.

One click (RFC 8058 §3.2) is offered only where both fields are covered by the signature of DKIM; who asks tells
whether they are. The request itself is made by the server, without cookies or anything that tells of the reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_URL = re.compile(r"<\s*([^<>\s]{1,2000})\s*>")
_COMMENT = re.compile(r"\([^()]*\)")
ONE_CLICK_FORM = {"List-Unsubscribe": "One-Click"}  # RFC 8058 §3.1


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """`one_click`: an https URL that takes the POST, "" for none; `page`: to be opened by the reader; `mail`: a
    mailto URL.
    """

    one_click: str = ""
    page: str = ""
    mail: str = ""


def read_unsubscribe(field: str | None, post: str | None) -> Unsubscribe | None:
    """`field`: List-Unsubscribe, `post`: List-Unsubscribe-Post, unfolded. None: it says nothing of use."""
    urls = _find_urls(field or "")
    page = next((url for url in urls if url[:6].lower() == "https:"), "")
    if not page:
        page = next((url for url in urls if url[:5].lower() == "http:"), "")
    mail = next((url for url in urls if url[:7].lower() == "mailto:"), "")
    if not page and not mail:
        return None
    wants_post = "".join((post or "").split()).lower() == "list-unsubscribe=one-click"
    is_one_click = wants_post and page[:6].lower() == "https:"
    return Unsubscribe(page if is_one_click else "", page, mail)


def _find_urls(field: str) -> list[str]:
    """RFC 2369 §2: in angle brackets, the best first. Some lists leave the brackets out."""
    found = [match[1] for match in _URL.finditer(field[:16_384])]
    if not found and "<" not in field:
        bare = _COMMENT.sub("", field[:2_000]).strip().rstrip(",")
        found = [bare] if bare and " " not in bare and "," not in bare else []
    return [url for url in found if not re.search(r"[\x00-\x20\x7f\"'\\`]", url)][:10]
