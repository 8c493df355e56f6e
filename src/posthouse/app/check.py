"""`posthouse check`: what is wrong, or soon will be, with what a server needs: files, ports, names, time, people.

Each check looks at one thing and gives findings; none changes anything, and those that ask other hosts have
deadlines. An error keeps the server from working; a warning is told and does not fail the command.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import pwd
import resource
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from posthouse.adapters.files import Space
from posthouse.adapters.journal import list_files
from posthouse.adapters.sqlite.directory_admin import list_hosted
from posthouse.app.check_mail import check_logins, check_mail
from posthouse.app.directory import directory_path
from posthouse.app.finding import ERROR, OK, WARNING, Finding
from posthouse.app.lockfile import LockHeldError, take_lock
from posthouse.app.privileges import Identity, acting_as
from posthouse.app.sockets import BindError, open_listener
from posthouse.config.settings import Listener, Settings
from posthouse.message.address import to_ascii_domain
from posthouse.message.nexthop import MaildirHop
from posthouse.ports.clock import Clock
from posthouse.ports.directory import DirectoryError
from posthouse.ports.resolver import DnsError, NameNotFound, Resolver

EXPIRY_WARNING = timedelta(days=14)
PROBED_DOMAIN = "gmail.com"  # somewhere that surely takes mail on port 25
CONNECT_S = 8.0
DNS_S = 20.0
_RUN_S = 30.0
SPARE_DESCRIPTORS = 500
OLDEST_NOW = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


Connect = Callable[[str, int], Awaitable[None]]


def check_configuration(settings: Settings) -> Iterator[Finding]:
    area = "configuration"
    if not settings.listener:
        yield Finding(area, WARNING, "no [[listener]]: the server would take no mail")
    if settings.postmaster is None:
        yield Finding(area, WARNING, "postmaster is not set: mail for it and double bounces are held in the queue")
    for name, key in _list_named_files(settings):
        if not os.access(name, os.R_OK):
            yield Finding(area, ERROR, f"{key}: {name} cannot be read")
    for listener in filter(is_in_the_clear, settings.listener):
        if not settings.web.trusted_proxies:
            yield Finding(area, WARNING, f"{listener.bind}: http without TLS, nobody from elsewhere can sign in there")
    yield Finding(area, OK, f"{_count(len(settings.listener), 'listener')}, {_count(len(settings.route), 'route')}")


def is_in_the_clear(listener: Listener) -> bool:
    """An http listener without TLS that others than this machine can reach."""
    if listener.service != "http" or listener.tls != "off" or listener.bind.is_unix:
        return False
    return not ipaddress.ip_address(listener.bind.host).is_loopback


def check_directory(settings: Settings, identity: Identity) -> Iterator[Finding]:
    """Domains of accounts and of routes; what is in both is the accounts'."""
    area = "directory"
    try:
        with acting_as(identity):  # files that SQLite makes must be the server's
            hosted = list_hosted(directory_path(settings))
    except DirectoryError as error:
        yield Finding(area, ERROR, str(error))
        return
    routed = {to_ascii_domain(route.domain) for route in settings.route if route.is_hosted}
    for domain in sorted(routed.intersection(hosted)):
        yield Finding(area, WARNING, f"{domain} has a [[route]] and accounts: its mail goes to the accounts only")
    if not hosted and not routed:
        yield Finding(area, WARNING, "no domain is hosted (posthouse domain add)")
    else:
        yield Finding(area, OK, f"{_count(len(routed.union(hosted)), 'domain')} hosted")


def may_use(path: str, identity: Identity) -> bool:
    """Whether the server's user may read and write there."""
    with acting_as(identity):
        return os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)


def check_program(identity: Identity, run: Callable[[Identity], str]) -> Iterator[Finding]:
    """Whether the server's user can start what workers are. `run` tries it and says what went wrong, "" if nothing."""
    if not identity.is_other:
        return
    problem = run(identity)
    if problem:
        yield Finding("program", ERROR, f"{identity.name} cannot run it: {problem}")
    else:
        yield Finding("program", OK, f"{identity.name} can run it")


def run_as(identity: Identity) -> str:
    """The interpreter and every module of a worker, with the rights of `identity`."""
    command = [sys.executable, "-c", "import posthouse.app.worker_process, posthouse.app.worker"]
    try:
        done = subprocess.run(
            command,
            user=identity.uid,
            group=identity.gid,
            extra_groups=identity.groups,
            capture_output=True,
            timeout=_RUN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{sys.executable}: {getattr(error, 'strerror', None) or 'time-out'}"
    lines = done.stderr.decode("utf-8", "replace").splitlines()
    return "" if done.returncode == 0 else f"{sys.executable}: {lines[-1] if lines else f'exit {done.returncode}'}"


def check_mail_roots(settings: Settings, identity: Identity) -> Iterator[Finding]:
    """Directories of mailboxes are only made below one that is there."""
    roots = {hop.root: None for route in settings.route for hop in route.to if isinstance(hop, MaildirHop)}
    for root in roots:
        if not os.path.isdir(root):
            yield Finding("mailboxes", ERROR, f"{root} does not exist: make it, owned by the server's user")
        elif not may_use(root, identity):
            yield Finding("mailboxes", ERROR, f"{root} is not writable for {identity.name}")
        else:
            yield Finding("mailboxes", OK, f"below {root}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _list_named_files(settings: Settings) -> Iterator[tuple[str, str]]:
    for number, route in enumerate(settings.route, 1):
        for key in ("password_file", "recipients_file"):
            name = getattr(route, key)
            if name is not None:
                yield name, f"route[{number}].{key}"
    if settings.provider_rules.file is not None:
        yield settings.provider_rules.file, "provider_rules.file"
    if settings.metrics.token_file is not None:
        yield settings.metrics.token_file, "metrics.token_file"
    for key, name in settings.login.named_files():
        yield name, f"login.{key}"


def check_data(settings: Settings, identity: Identity, measure: Callable[[str], Space]) -> Iterator[Finding]:
    area, data = "data directory", settings.data
    try:
        found = os.stat(data)
    except FileNotFoundError:
        yield Finding(area, WARNING, f"{data} does not exist; posthouse serve makes it")
        return
    except OSError as error:
        yield Finding(area, ERROR, f"{data}: {error.strerror}")
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Finding(area, ERROR, f"{data} is no directory")
        return
    if found.st_uid != identity.uid:
        yield Finding(area, ERROR, f"{data} belongs to {_name_user(found.st_uid)}, not to {identity.name}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        yield Finding(area, WARNING, f"{data} has mode {stat.S_IMODE(found.st_mode):04o}; it should be 0700")
    if not may_use(data, identity):
        yield Finding(area, ERROR, f"{data} is not writable for {identity.name}")
    yield from _check_space(settings, measure(data))


def _name_user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _check_space(settings: Settings, space: Space) -> Iterator[Finding]:
    area, queue = "data directory", settings.queue
    for what, free, least in (("MiB", space.octets, queue.min_free), ("inodes", space.inodes, queue.min_free_inodes)):
        unit = 1 << 20 if what == "MiB" else 1
        if free < least:
            yield Finding(area, ERROR, f"{free // unit} {what} free, below the minimum of {least // unit}: mail is 452")
        elif free < 2 * least:
            yield Finding(area, WARNING, f"{free // unit} {what} free, near the minimum of {least // unit}")
        else:
            yield Finding(area, OK, f"{free // unit} {what} free")


def find_holder(data: str, identity: Identity) -> str | None:
    """Who holds the lock of the data directory: a server that runs, most likely."""
    try:
        with acting_as(identity):  # a lock file of root's would keep the server out
            take_lock(os.path.join(data, "lock"), "posthouse check").release()
    except LockHeldError as error:
        return error.holder
    except OSError:
        return None
    return None


def check_ports(settings: Settings, identity: Identity, holder: str | None) -> Iterator[Finding]:
    area = "ports"
    for listener in settings.listener:
        if holder is not None:
            yield Finding(area, OK, f"{listener.bind}: not tried, {holder} is running")
            continue
        if is_made_at_start(listener, settings):
            yield Finding(area, OK, f"{listener.bind}: its directory is made by posthouse serve")
            continue
        try:
            opened = open_listener(listener.bind, 1, identity)
        except BindError as error:
            yield Finding(area, ERROR, str(error))
        else:
            opened.close(identity)
            yield Finding(area, OK, f"{listener.bind} can be listened on ({listener.service})")


def is_made_at_start(listener: Listener, settings: Settings) -> bool:
    """Sockets beside the server's own: that directory comes with the server."""
    runtime = settings.runtime_directory(os.geteuid() == 0)
    return listener.bind.is_unix and os.path.dirname(listener.bind.path) == runtime and not os.path.exists(runtime)


def check_certificate(settings: Settings, now: float) -> Iterator[Finding]:
    area = "certificate"
    uses_tls = any(listener.tls != "off" for listener in settings.listener)
    if settings.tls.certificate is None or settings.tls.key is None:
        if uses_tls:
            yield Finding(area, WARNING, "none is configured: a self-signed one is used, which mail programs warn of")
        return
    try:
        certificate = x509.load_pem_x509_certificates(Path(settings.tls.certificate).read_bytes())[0]
        key = load_pem_private_key(Path(settings.tls.key).read_bytes(), None)
    except (OSError, ValueError, TypeError, IndexError) as error:
        yield Finding(area, ERROR, f"certificate or key cannot be used: {error}")
        return
    if certificate.public_key() != key.public_key():
        yield Finding(area, ERROR, f"{settings.tls.key} is not the key of {settings.tls.certificate}")
    yield from _check_validity(certificate, datetime.fromtimestamp(now, UTC))
    if not _is_for(certificate, settings.hostname):
        yield Finding(area, WARNING, f"it is not for {settings.hostname}")


def _check_validity(certificate: x509.Certificate, now: datetime) -> Iterator[Finding]:
    area, left = "certificate", certificate.not_valid_after_utc - now
    if certificate.not_valid_before_utc > now:
        yield Finding(area, ERROR, f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
    if left <= timedelta():
        yield Finding(area, ERROR, f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    else:
        level = WARNING if left < EXPIRY_WARNING else OK
        yield Finding(area, level, f"valid until {certificate.not_valid_after_utc:%Y-%m-%d} ({left.days} days)")


def _is_for(certificate: x509.Certificate, hostname: str) -> bool:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    return hostname in known or "*." + hostname.partition(".")[2] in known


def check_clock(data: str, now: float) -> Iterator[Finding]:
    """Against the newest file that we wrote: a clock behind it went back, or had run ahead."""
    area = "clock"
    times = [path.stat().st_mtime for path in [*list_files(Path(data) / "journal")[-8:], *_list_databases(data)]]
    newest = max(times, default=0.0)
    if now < OLDEST_NOW:
        yield Finding(area, ERROR, f"it is {datetime.fromtimestamp(now, UTC):%Y-%m-%d}? the clock is wrong")
    elif newest > now + 60:
        yield Finding(
            area, ERROR, f"behind by {timedelta(seconds=round(newest - now))}, going by what was last written"
        )
    else:
        yield Finding(area, OK, f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC")


def _list_databases(data: str) -> list[Path]:
    return list((Path(data) / "spool").glob("*/spool-*.db*"))


def check_descriptors(settings: Settings) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.limits.connections + settings.outbound.max_connections + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        yield Finding(
            "descriptors", WARNING, f"hard limit {hard}; limits.connections would need {wanted} in one worker"
        )
    else:
        yield Finding("descriptors", OK, f"hard limit {'none' if hard == resource.RLIM_INFINITY else hard}")


async def check_network(settings: Settings, resolver: Resolver, connect: Connect) -> list[Finding]:
    """DNS first; whether mail gets out is only asked when names can be looked up."""
    try:
        async with asyncio.timeout(DNS_S):
            findings = await _check_names(settings, resolver)
            address = await _find_probe(resolver)
    except (DnsError, TimeoutError) as error:
        return [Finding("DNS", ERROR, f"no answer: {str(error) or 'time-out'}"), _not_tried(settings.queue.mx_port)]
    if address is None:
        unknown = Finding("DNS", WARNING, f"answers, but does not know {PROBED_DOMAIN}: no way out?")
        return [*findings, unknown, _not_tried(settings.queue.mx_port)]
    findings.append(Finding("DNS", OK, "answers"))
    return [*findings, await _check_outbound(address, settings.queue.mx_port, connect)]


def _not_tried(port: int) -> Finding:
    return Finding("outbound", WARNING, f"port {port} of other hosts was not tried: no host to try it with")


async def _find_probe(resolver: Resolver) -> str | None:
    try:
        records = (await resolver.find_mx(PROBED_DOMAIN)).records
        return (await resolver.find_ipv4(records[0].exchange)).addresses[0] if records else None
    except (NameNotFound, IndexError):
        return None


async def _check_names(settings: Settings, resolver: Resolver) -> list[Finding]:
    try:
        ipv4 = await resolver.find_ipv4(settings.hostname)
        ipv6 = await resolver.find_ipv6(settings.hostname)
    except NameNotFound:
        return [Finding("DNS", WARNING, f"{settings.hostname} does not exist")]
    addresses = (*ipv4.addresses, *ipv6.addresses)
    if not addresses:
        return [Finding("DNS", WARNING, f"{settings.hostname} has no address")]
    findings = []
    for address in addresses:
        names = await resolver.find_ptr(address)
        if settings.hostname not in names:
            shown = ", ".join(names) or "nothing"
            findings.append(Finding("DNS", WARNING, f"{address} points back to {shown}, not to {settings.hostname}"))
    return findings


async def _check_outbound(address: str, port: int, connect: Connect) -> Finding:
    try:
        async with asyncio.timeout(CONNECT_S):
            await connect(address, port)
    except (OSError, TimeoutError) as error:
        reason = getattr(error, "strerror", None) or "time-out"
        return Finding("outbound", WARNING, f"port {port} of {address} cannot be reached: {reason}; is it blocked?")
    return Finding("outbound", OK, f"port {port} of other hosts can be reached")


async def connect_and_close(address: str, port: int) -> None:
    _, writer = await asyncio.open_connection(address, port)
    writer.close()


def measure_space(path: str) -> Space:
    found = os.statvfs(path)
    return Space(found.f_bavail * found.f_frsize, found.f_favail)


def check_all(settings: Settings, identity: Identity, clock: Clock) -> list[Finding]:
    """Everything that needs no other host."""
    now = clock.now()
    return [
        *check_configuration(settings),
        *check_data(settings, identity, measure_space),
        *check_directory(settings, identity),
        *check_mail(settings, identity),
        *check_logins(settings),
        *check_program(identity, run_as),
        *check_mail_roots(settings, identity),
        *check_ports(settings, identity, find_holder(settings.data, identity)),
        *check_certificate(settings, now),
        *check_clock(settings.data, now),
        *check_descriptors(settings),
    ]


def is_good(findings: Sequence[Finding]) -> bool:
    return all(finding.level != ERROR for finding in findings)
