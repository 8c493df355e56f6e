"""What single keys cannot know: settings that contradict each other. Pure."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from posthouse.config.lines import Path
from posthouse.config.settings import Listener, Route, Settings
from posthouse.config.settings_access import Imap
from posthouse.config.settings_login import LoginSettings
from posthouse.message.mailbox import Role
from posthouse.message.nexthop import HostHop, MaildirHop

Conflict = tuple[Path, str]
_NEVER_HIDDEN = frozenset({"IMAP4REV1", "IMAP4REV2"})


def find_conflicts(settings: Settings) -> Iterator[Conflict]:
    """Where and in which words."""
    yield from _check_listeners(settings.listener)
    for number, route in enumerate(settings.route):
        for key, words in _check_route(route):
            yield ("route", number, key), words
    yield from _check_hosted_twice(settings.route)
    for key, words in _check_login(settings.login):
        yield ("login", key), words
    for key, words in _check_imap(settings.imap):
        yield ("imap", key), words
    yield from _check_others(settings)


def _check_imap(imap: Imap) -> Iterator[tuple[str, str]]:
    name = imap.outbox
    if not name or any(letter in "/%*" or not letter.isprintable() for letter in name):
        yield "outbox", "the name of one mailbox, without / % *"
    if name.lower() in {role.value for role in Role}:
        yield "outbox", f"{name} is a mailbox that mail is kept in; what is put into the Outbox is sent"
    for hidden in imap.hide:
        if hidden.upper() in _NEVER_HIDDEN:
            yield "hide", f"{hidden} cannot be hidden"


def _check_listeners(listeners: tuple[Listener, ...]) -> Iterator[Conflict]:
    seen: dict[str, int] = {}
    for number, listener in enumerate(listeners):
        where = str(listener.bind)
        if where in seen and not where.endswith(":0"):
            yield ("listener", number, "bind"), f"{where} is already used by listener {seen[where] + 1}"
        seen[where] = number
        if listener.xclient and listener.service != "smtp":
            yield ("listener", number, "xclient"), "only smtp listeners take XCLIENT"
        if listener.hide_capabilities and listener.service not in {"imap", "pop3"}:
            yield ("listener", number, "hide_capabilities"), "only imap and pop3 have capabilities to hide"
        if listener.service == "http" and listener.tls == "starttls":
            yield ("listener", number, "tls"), "http has no STARTTLS; allowed: off | implicit"
        if listener.service == "http" and listener.tls == "implicit" and listener.proxy_protocol:
            yield ("listener", number, "proxy_protocol"), "with http only without TLS; the proxy has to end it"
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


def _check_login(login: LoginSettings) -> Iterator[tuple[str, str]]:
    if login.pam_service is not None and "/" in login.pam_service:
        yield "pam_service", "the name of a file in /etc/pam.d, not a path"
    if not _names_the_login(login.pam_user):
        yield "pam_user", "must hold {address} or {local}, or everybody would be the same user"
    if login.ldap_url is not None:
        yield from _check_ldap(login)
    if login.oauth_keys_url is not None and (login.oauth_issuer is None or login.oauth_audience is None):
        missing = "oauth_issuer" if login.oauth_issuer is None else "oauth_audience"
        yield "oauth_keys_url", f"needs {missing}, or tokens that were made for other programs would be good here"


def _check_ldap(login: LoginSettings) -> Iterator[tuple[str, str]]:
    if not _is_ldap_url(login.ldap_url or ""):
        yield "ldap_url", "must look like ldaps://ldap.example.org or ldap://ldap.example.org:389"
    if login.ldap_user is None and login.ldap_base is None:
        yield "ldap_url", "needs ldap_user or ldap_base"
    if login.ldap_user is not None and not _names_the_login(login.ldap_user):
        yield "ldap_user", "must hold {address} or {local}, or everybody would be the same user"
    if not _names_the_login(login.ldap_filter):
        yield "ldap_filter", "must hold {address} or {local}, or everybody would be the same user"
    if (login.ldap_reader is None) != (login.ldap_reader_password_file is None):
        yield "ldap_reader", "ldap_reader and ldap_reader_password_file belong together"


def _is_ldap_url(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"ldap", "ldaps"} and bool(url.hostname) and url.port != 0 and url.path in {"", "/"}
    except ValueError:  # a port or an address that is none
        return False


def _names_the_login(template: str) -> bool:
    return "{address}" in template or "{local}" in template


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
