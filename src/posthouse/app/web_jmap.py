"""JMAP by HTTP: the session, requests, uploads and downloads (RFC 8620 §2, §3, §6)."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.app.web import WebContext
from posthouse.serve.http_messages import AnyRoute


def make_routes(web: WebContext) -> Sequence[AnyRoute]:
    return []
