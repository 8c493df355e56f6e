"""All routes of the HTTP side. Each module of routes has a line here; the first that takes a path gets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posthouse.app.web import WebContext
    from posthouse.serve.http_messages import AnyRoute


def make_all_routes(web: WebContext) -> Sequence[AnyRoute]:
    """What they import is imported when there is an http listener."""
    from posthouse.app import web_api, web_jmap, web_page, web_view

    return [
        *web_jmap.make_routes(web),
        *web_api.make_routes(web),
        *web_view.make_routes(web),
        *web_page.make_routes(web),
    ]
