"""What single keys cannot know: settings that contradict each other. Pure."""

from collections.abc import Iterator

from posthouse.config.lines import Path
from posthouse.config.settings import Listener, Route, Settings
from posthouse.message.nexthop import HostHop, MaildirHop

Conflict = tuple[Path, str]


def find_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Where and in which words."""
    yield from _check_listeners(settings.listener)
    for number, route in enumerate(settings.route):
        for key, words in _check_route(route):
            yield ("route", number, key), words
    yield from _check_hosted_twice(settings.route)
    yield from _check_others(settings)


def _check_listeners(listeners: tuple[Listener, ...]) -> Iterator[Conflict]:
    seen: dict[str, int] = {}
    for number, listener in enumerate(listeners):
        where = str(listener.bind)
        if where in seen and not where.endswith(":0"):
            yield ("listener", number, "bind"), f"{where} is already used by listener {seen[where] + 1}"
        seen[where] = number
        if listener.xclient and listener.service != "smtp":
            yield ("listener", number, "xclient"), "only smtp listeners take XCLIENT"
        if listener.service == "http" and listener.tls == "starttls":
            yield ("listener", number, "tls"), "http has no STARTTLS; allowed: off | implicit"
        if listener.service == "lmtp" and listener.bind.port == 25:
            yield ("listener", number, "bind"), "LMTP must not be spoken on port 25 (RFC 2033 §5)"


def _check_route(route: Route) -> Iterator[tuple[str, str]]:
    if route.accept == "anyone" and route.domain == "*":
        yield "accept", '"anyone" with domain "*" would make an open relay; allowed: "trusted"'
    if (route.username is None) != (route.password_file is None):
        yield "username" if route.username else "password_file", "username and password_file belong together"
    if route.username is not None and not any(isinstance(hop, HostHop) for hop in route.to):
        yield "username", "AUTH needs a next hop of smtp://, smtps:// or lmtp://"
    if (route.recipients is not None or route.recipients_file is not None) and not route.is_hosted:
        yield (
            "recipients" if route.recipients is not None else "recipients_file",
            ('known recipients need an exact domain and accept = "anyone"'),
        )
    if any(isinstance(hop, MaildirHop) for hop in route.to) and len(route.to) > 1:
        yield "to", "maildir: stands alone; it has no second choice"


def _check_hosted_twice(routes: tuple[Route, ...]) -> Iterator[Conflict]:
    seen: dict[str, int] = {}
    for number, route in enumerate(routes):
        if route.domain in seen:
            yield ("route", number, "domain"), f"{route.domain} is already routed by route {seen[route.domain] + 1}"
        seen.setdefault(route.domain, number)


def _check_others(settings: Settings) -> Iterator[Conflict]:
    if (settings.tls.certificate is None) != (settings.tls.key is None):
        yield ("tls", "certificate" if settings.tls.certificate else "key"), "certificate and key belong together"
    versions = [":" in address for address in settings.outbound.source]
    if len(versions) != len(set(versions)):
        yield ("outbound", "source"), "at most one IPv4 and one IPv6 address"
    if settings.outbound.first_connections > settings.outbound.connections_per_site:
        yield ("outbound", "first_connections"), "must not be above connections_per_site"
    if settings.queue.slow_above > settings.queue.refuse_above:
        yield ("queue", "slow_above"), "must not be above refuse_above"
    if settings.smtp.soft_errors > settings.smtp.max_errors:
        yield ("smtp", "soft_errors"), "must not be above max_errors"
