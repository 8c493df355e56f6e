"""What the HTTP listener answers: figures for Prometheus, and whether we live and are ready.

`/metrics` tells of the whole server, whichever worker is asked; it is open to loopback (and unix sockets), to others
only with the token of `[metrics] token_file`. Without a coordinator a worker tells its own figures.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence

from posthouse.adapters.metrics import PlainMetrics, render
from posthouse.app.worker_context import Link, LinkError
from posthouse.serve.http_messages import HttpAnswer, HttpRequest, HttpRoute

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def make_routes(
    link: Link, metrics: PlainMetrics, token: bytes | None, is_ready: Callable[[], bool]
) -> Sequence[HttpRoute]:
    async def tell_metrics(request: HttpRequest) -> HttpAnswer:
        if not may_read_metrics(request, token):
            return HttpAnswer(403, b"only from loopback, or with the token\n")
        try:
            text = str(await link.call("metrics", {}, timeout_s=5.0))
        except LinkError:
            text = render(metrics.snapshot())
        return HttpAnswer(200, text.encode(), _PROMETHEUS)

    async def tell_health(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(200, b"ok\n")

    async def tell_readiness(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(200, b"ready\n") if is_ready() else HttpAnswer(503, b"not ready\n")

    return [
        HttpRoute("/metrics", tell_metrics),
        HttpRoute("/healthz", tell_health),
        HttpRoute("/readyz", tell_readiness),
    ]


def may_read_metrics(request: HttpRequest, token: bytes | None) -> bool:
    if token:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token):
            return True
    return request.is_local
