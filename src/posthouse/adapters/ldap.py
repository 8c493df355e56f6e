"""LDAP as a source of passwords: whoever can bind with it knows it (RFC 4511 §4.2, RFC 4513 §5.1).

The name to bind as is made from a template, or searched for. One connection per check, under TLS (ldaps:// or
STARTTLS) unless the configuration gives that up; the certificate is checked for the name in the URL. ldap3 blocks, so
each check runs in a thread of a bounded pool, and has a deadline beside the timeouts of the socket.

Login names come from clients: in names and filters everything but letters, digits and ".-_@" is escaped (RFC 4514
§2.4, RFC 4515 §3). An empty password is refused here, as servers call a bind without one a success (RFC 4513 §5.1.2).
A name that the search does not find costs a bind like any other. Referrals are not followed. Nothing durable.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Final, Protocol, cast
from urllib.parse import urlsplit

from posthouse.adapters.login_names import fill_in
from posthouse.ports.compute import Compute
from posthouse.ports.credentials import SourceAnswer
from posthouse.ports.observe import Log

_SUCCESS: Final = 0
_TOO_MANY: Final = 4  # sizeLimitExceeded
# noSuchObject, invalidDNSyntax, inappropriateAuthentication, invalidCredentials, insufficientAccessRights,
# unwillingToPerform: what servers say to a wrong name or password, or to an account that is locked
_REFUSALS: Final = frozenset({32, 34, 48, 49, 50, 53})
_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@")
_NOBODY: Final = "cn=posthouse-nobody"


class LdapError(Exception):
    """The server cannot be asked, or answers something that is neither yes nor no."""


@dataclass(frozen=True, slots=True)
class LdapRules:
    """Bind as `user_dn`, or as the one entry below `base` that fits `filter`, which is searched for as `reader_dn`
    ("": anonymously). {address}, {local} and {domain} of the account may stand in `user_dn` and `filter`.
    """

    user_dn: str = ""
    base: str = ""
    filter: str = "(mail={address})"
    reader_dn: str = ""
    reader_password: str = field(default="", repr=False)


class LdapSession(Protocol):
    """A connection. All three block and raise LdapError."""

    def bind(self, name: str, password: str) -> int:
        """The result code; a bind without a name is anonymous."""

    def search(self, base: str, filter_text: str) -> Sequence[str]:
        """Names of the entries that fit, two at most."""

    def close(self) -> None: ...


class LdapSource:
    name = "ldap"

    def __init__(
        self, rules: LdapRules, connect: Callable[[], LdapSession], compute: Compute, deadline_s: float, log: Log
    ) -> None:
        self._rules, self._connect = rules, connect
        self._compute, self._deadline_s, self._log = compute, deadline_s, log

    async def check(self, login: str, password: str) -> SourceAnswer:
        if not password:
            return SourceAnswer.NO
        try:
            async with asyncio.timeout(self._deadline_s):
                is_right = await self._compute.run(partial(self._try, login, password))
        except TimeoutError:
            self._log.warning("LDAP did not answer in time")
            return SourceAnswer.UNAVAILABLE
        except LdapError as error:
            self._log.warning("LDAP cannot tell", reason=str(error))
            return SourceAnswer.UNAVAILABLE
        return SourceAnswer.YES if is_right else SourceAnswer.NO

    def _try(self, login: str, password: str) -> bool:
        session = self._connect()
        try:
            name = self._find_name(session, login)
            code = session.bind(name or f"{_NOBODY},{self._rules.base}", password)
        finally:
            session.close()
        if code not in _REFUSALS and code != _SUCCESS:
            raise LdapError(f"the bind came to result {code}")
        return bool(name) and code == _SUCCESS

    def _find_name(self, session: LdapSession, login: str) -> str:
        """ "" when nobody fits, or more than one."""
        rules = self._rules
        if rules.user_dn:
            return fill_in(rules.user_dn, login, escape_name)
        if rules.reader_dn and session.bind(rules.reader_dn, rules.reader_password) != _SUCCESS:
            raise LdapError(f"{rules.reader_dn} cannot bind")
        found = session.search(rules.base, fill_in(rules.filter, login, escape_filter))
        if len(found) > 1:
            self._log.warning("LDAP has several entries for a login", login=login)
        return found[0] if len(found) == 1 else ""


def escape_name(value: str) -> str:
    """An attribute's value within a name: RFC 4514 §2.4."""
    return _escape(value)


def escape_filter(value: str) -> str:
    """An assertion's value within a filter: RFC 4515 §3."""
    return _escape(value)


def _escape(value: str) -> str:
    """Both may have any octet as a backslash and two hex digits."""
    if _SAFE.issuperset(value):
        return value
    return "".join(
        [char if char in _SAFE else "".join([f"\\{octet:02x}" for octet in char.encode()]) for char in value]
    )


@dataclass(frozen=True, slots=True)
class LdapPlace:
    """Where the server is. `authorities` are certificates in PEM, "" for those of the system."""

    url: str
    timeout_s: float
    authorities: str = ""
    uses_tls: bool = True


def connect(place: LdapPlace) -> LdapSession:
    """Raises LdapError."""
    from ldap3.core.exceptions import LDAPException

    try:
        return _Ldap3Session(place)
    except (LDAPException, OSError, ValueError) as error:
        raise LdapError(f"{place.url}: {error}") from None


class _Ldap3Session:
    def __init__(self, place: LdapPlace) -> None:
        import ldap3  # late: 60 ms that only those who need it pay

        url = urlsplit(place.url)
        is_ldaps = url.scheme == "ldaps"
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_data=place.authorities or None, sni=url.hostname)
        port = url.port or (636 if is_ldaps else 389)
        server = ldap3.Server(
            url.hostname, port, is_ldaps, get_info=ldap3.NONE, tls=tls, connect_timeout=place.timeout_s
        )
        self._connection = ldap3.Connection(
            server, receive_timeout=ceil(place.timeout_s), read_only=True, auto_referrals=False, check_names=False
        )
        self._connection.open()
        if place.uses_tls and not is_ldaps:
            self._connection.start_tls()  # raises when the server cannot

    def bind(self, name: str, password: str) -> int:
        import ldap3
        from ldap3.core.exceptions import LDAPException

        try:
            if name:
                self._connection.rebind(name, password, ldap3.SIMPLE)
            else:
                self._connection.rebind(authentication=ldap3.ANONYMOUS)
        except (LDAPException, OSError) as error:
            raise LdapError(str(error)) from None
        return _code_of(self._connection.result)

    def search(self, base: str, filter_text: str) -> Sequence[str]:
        from ldap3.core.exceptions import LDAPException

        try:
            self._connection.search(base, filter_text, attributes=None, size_limit=2)
        except (LDAPException, OSError) as error:
            raise LdapError(str(error)) from None
        code = _code_of(self._connection.result)
        if code not in {_SUCCESS, _TOO_MANY}:
            raise LdapError(f"the search came to result {code}")
        entries = cast(Iterable[Mapping[str, object]], self._connection.response or ())
        return [str(entry["dn"]) for entry in entries if entry.get("type") == "searchResEntry"]

    def close(self) -> None:
        from ldap3.core.exceptions import LDAPException

        try:
            self._connection.unbind()
        except (LDAPException, OSError):
            pass  # it is over anyway


def _code_of(result: object) -> int:
    """The result code of ldap3's description of an answer."""
    code = result.get("result") if isinstance(result, dict) else None
    if not isinstance(code, int):
        raise LdapError("no answer")
    return code
