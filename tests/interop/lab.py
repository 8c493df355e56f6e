"""A small Internet in network namespaces: hosts on one switch, a real DNS server, real mail servers on port 25.

Everything is named after this process, made by `Lab` and taken away by `Lab.close`; servers are ended by their ids.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

POLL_S = 0.03
NETWORK4 = "10.77.0"
NETWORK6 = "fd77"
DNS_HOST = 53
SUBMISSION = """
[[listener]]
service = "submission"
bind = "0.0.0.0:587"
tls = "starttls"

[[listener]]
service = "submission"
bind = "0.0.0.0:465"
tls = "implicit"
"""
PROGRAM = "from posthouse.app.cli import main; main()"
SOURCE = Path(__file__).resolve().parents[2] / "src"

_numbers = itertools.count(1)
T = TypeVar("T")


class LabError(Exception):
    """The world around a test could not be set up or did not answer in time."""


def wait_until(probe: Callable[[], T], what: str, timeout: float = 20.0) -> T:
    """Asks until the answer is true, and returns it."""
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:.0f} s for {what}")
        time.sleep(POLL_S)
    return answer


def _run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        raise LabError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done


@dataclass
class Host:
    """A namespace with one interface. `directory` holds the files of what runs there."""

    name: str
    namespace: str
    number: int
    directory: Path

    @property
    def ipv4(self) -> str:
        return f"{NETWORK4}.{self.number}"

    @property
    def ipv6(self) -> str:
        return f"{NETWORK6}::{self.number}"

    def wrap(self, command: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *command]

    def run(self, *command: str, data: str | bytes = b"", timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs to its end in the namespace; the exit code is the caller's to look at."""
        octets = data.encode() if isinstance(data, str) else data
        done = subprocess.run(self.wrap(command), input=octets, capture_output=True, timeout=timeout, check=False)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )

    def must(self, *command: str, data: str | bytes = b"", timeout: float = 60.0) -> str:
        done = self.run(*command, data=data, timeout=timeout)
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def send_mail(
        self, server: str, sender: str, recipients: Sequence[str], data: str | bytes, **options: Any
    ) -> dict[str, str]:
        """By smtplib, with `options` of send.py. Answers the recipients that were refused with the reply to each.

        The recipient "" stands for the whole message.
        """
        wanted = {"server": server, "sender": sender, "recipients": list(recipients), **options}
        output = self.must(sys.executable, str(Path(__file__).with_name("send.py")), json.dumps(wanted), data=data)
        answers: dict[str, str] = json.loads(output)
        return answers

    def is_listening(self, port: int, protocol: str = "tcp") -> bool:
        """Looks into the kernel's tables instead of connecting, so that no server sees a probe."""
        wanted = f"{port:04X}"
        tables = self.must("cat", f"/proc/net/{protocol}", f"/proc/net/{protocol}6")
        rows = (row.split() for row in tables.splitlines())
        state = "0A" if protocol == "tcp" else "07"
        return any(len(row) > 3 and row[1].endswith(":" + wanted) and row[3] == state for row in rows)

    def wait_port(self, port: int, protocol: str = "tcp", timeout: float = 20.0) -> None:
        wait_until(lambda: self.is_listening(port, protocol), f"port {port} on {self.name}", timeout)


class Server:
    """A process in the foreground of a host; its output is kept."""

    def __init__(self, host: Host, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
        self.log = host.directory / f"server-{next(_numbers)}.log"
        with self.log.open("wb") as stream:
            self.popen = subprocess.Popen(
                host.wrap(command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
            )

    def stop(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(35)
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def read_log(self) -> str:
        return self.log.read_text(errors="replace")


class Lab:
    """The switch and its hosts. Use as a context manager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._prefix = f"ph{os.getpid()}-{next(_numbers)}"
        self._switch = f"{self._prefix}-switch"
        self._namespaces: list[str] = []
        self._closing = contextlib.ExitStack()
        self._add_namespace(self._switch)
        self._in(self._switch, "ip", "link", "add", "br0", "type", "bridge")
        self._in(self._switch, "ip", "link", "set", "br0", "up")
        self._hosts = itertools.count(11)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()
        for namespace in reversed(self._namespaces):
            for pid in _run(["ip", "netns", "pids", namespace]).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _run(["ip", "netns", "del", namespace])
            shutil.rmtree(f"/etc/netns/{namespace}", ignore_errors=True)
        self._namespaces.clear()

    def stop_at_end(self, stop: Callable[[], object]) -> None:
        self._closing.callback(stop)

    def _in(self, namespace: str, *command: str) -> None:
        _run(["ip", "netns", "exec", namespace, *command])

    def _add_namespace(self, namespace: str) -> None:
        etc = Path("/etc/netns") / namespace
        etc.mkdir(parents=True)
        (etc / "resolv.conf").write_text(f"nameserver {NETWORK4}.{DNS_HOST}\noptions timeout:2 attempts:2\n")
        _run(["ip", "netns", "add", namespace])
        self._namespaces.append(namespace)
        self._in(namespace, "ip", "link", "set", "lo", "up")

    def add_host(self, name: str, *, number: int = 0, has_ipv6: bool = True) -> Host:
        number = number or next(self._hosts)
        namespace = f"{self._prefix}-{name}"
        directory = self.directory / name
        directory.mkdir()
        directory.chmod(0o755)
        host = Host(name, namespace, number, directory)
        self._add_namespace(namespace)
        port = f"p{number}"
        add = ["ip", "link", "add", port, "netns", self._switch, "type", "veth", "peer", "name", "eth0"]
        _run([*add, "netns", namespace])
        self._in(self._switch, "ip", "link", "set", port, "master", "br0", "up")
        self._in(namespace, "ip", "address", "add", f"{host.ipv4}/24", "dev", "eth0")
        if has_ipv6:
            self._in(namespace, "ip", "address", "add", f"{host.ipv6}/64", "dev", "eth0", "nodad")
        self._in(namespace, "ip", "link", "set", "eth0", "up")
        return host

    def start_dns(self, zones: dict[str, str], broken: Sequence[str] = ()) -> Host:
        """NSD with these zones (name to records, one a line). A zone in `broken` has no data: SERVFAIL."""
        host = self.add_host("dns", number=DNS_HOST)
        lines = [
            "server:",
            f"  ip-address: {host.ipv4}",
            f"  pidfile: {host.directory}/nsd.pid",
            f"  zonesdir: {host.directory}",
            '  database: ""',
            f"  zonelistfile: {host.directory}/zone.list",
            f"  xfrdfile: {host.directory}/xfrd.state",
            f"  xfrdir: {host.directory}",
            "  username: root",
            "  server-count: 1",
            "remote-control:",
            "  control-enable: no",
        ]
        for name, records in zones.items():
            text = (
                f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. root.{name}. 1 60 60 60 60\n@ NS ns.{name}.\n{records}\n"
            )
            (host.directory / f"{name}.zone").write_text(text + f"ns A {host.ipv4}\n")
        for name in (*zones, *broken):
            lines += ["zone:", f"  name: {name}", f"  zonefile: {name}.zone"]
        (host.directory / "nsd.conf").write_text("\n".join(lines) + "\n")
        server = Server(host, ["nsd", "-d", "-c", str(host.directory / "nsd.conf")])
        self.stop_at_end(server.stop)
        host.wait_port(53, "udp")
        return host


def make_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    chain, key = directory / "cert.pem", directory / "key.pem"
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"]
    _run(["openssl", "req", "-x509", *kind, *subject, "-keyout", str(key), "-out", str(chain)])
    key.chmod(0o644)
    return chain, key


def read_maildir(path: Path) -> list[EmailMessage]:
    """What lies in `new`, oldest first."""
    new = path / "new"
    if not new.exists():
        return []
    files = sorted(new.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]


class MailServer:
    """What all three have: Maildirs below `mail`, and a log to show when mail does not come."""

    mail: Path

    def read_log(self) -> str:
        return ""

    def wait_log(self, text: str, timeout: float = 20.0) -> str:
        """The first line of the log with this text in it."""
        return wait_until(
            lambda: next((line for line in self.read_log().splitlines() if text in line), ""), text, timeout
        )

    def find_maildir(self, address: str) -> Path:
        local, _, domain = address.partition("@")
        return self.mail / domain / local

    def list_mail(self, address: str) -> list[EmailMessage]:
        return read_maildir(self.find_maildir(address))

    def wait_mail(self, address: str, count: int = 1, timeout: float = 20.0) -> list[EmailMessage]:
        def look() -> list[EmailMessage]:
            found = self.list_mail(address)
            return found if len(found) >= count else []

        try:
            return wait_until(look, f"{count} messages for {address}", timeout)
        except LabError as error:
            raise LabError(f"{error}; log:\n{self.read_log()[-4000:]}") from None


class Posthouse(MailServer):
    """Our server on a host: port 25 and Maildirs for the domains it hosts. `tls`: more lines of the [tls] table."""

    tls = ""

    def __init__(
        self,
        lab: Lab,
        host: Host,
        hostname: str,
        domains: Sequence[str] = (),
        *,
        tables: str = "",
        dns: Sequence[str] = (f"{NETWORK4}.{DNS_HOST}:53",),
    ) -> None:
        """`tables` are more lines of the configuration, behind everything; `dns` the servers it asks."""
        self.host = host
        self.hostname = hostname
        self.mail = host.directory / "mail"
        self.mail.mkdir()
        self.config = host.directory / "posthouse.toml"
        chain, key = make_certificate(host.directory, hostname)
        lines = [
            f'hostname = "{hostname}"',
            f'data = "{host.directory}/data"',
            f'runtime = "{host.directory}/run"',
            "workers = 1",
            f'[tls]\ncertificate = "{chain}"\nkey = "{key}"\n{self.tls}',
            f'[dns]\nservers = {json.dumps(list(dns))}\ntimeout = "500ms"\nattempts = 2',
        ]
        addresses = (f"{host.ipv4}:25", f"[{host.ipv6}]:25", "127.0.0.1:25")
        lines += [f'[[listener]]\nservice = "smtp"\nbind = "{address}"\ntls = "starttls"' for address in addresses]
        for domain in domains:
            to = f"maildir:{self.mail}/{{domain}}/{{local}}"
            lines.append(f'[[route]]\ndomain = "{domain}"\nto = "{to}"\naccept = "anyone"')
        self.config.write_text("\n".join([*lines, tables]) + "\n")
        self.prepare()
        environment = {"PYTHONPATH": str(SOURCE)}
        self._program = [sys.executable, "-c", PROGRAM, "-c", str(self.config)]
        self.server = Server(host, [*self._program, "serve"], environment)
        lab.stop_at_end(self.server.stop)
        try:
            host.wait_port(25)
        except LabError as error:
            raise LabError(f"{error}: {self.server.read_log()}") from None

    def prepare(self) -> None:
        """What is to be done with the configuration before the server starts."""

    def find_maildir(self, address: str) -> Path:
        """Local parts are written as one safe segment of ASCII."""
        local, _, domain = address.partition("@")
        return self.mail / domain / quote(local, safe="")

    def submit(self, sender: str, recipients: Sequence[str], data: str | bytes, **options: Any) -> None:
        """From its own loopback, which may relay."""
        refused = self.host.send_mail("127.0.0.1", sender, recipients, data, **options)
        if refused:
            raise LabError(f"refused: {refused}; log:\n{self.read_log()[-4000:]}")

    def command(self, *words: str, data: str | bytes = b"") -> str:
        return self.host.must("env", f"PYTHONPATH={SOURCE}", *self._program, *words, data=data)

    def list_queue(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.command("queue", "list", "--json").splitlines()]

    def read_log(self) -> str:
        return self.server.read_log()

    def wait_deferred(self, domain: str, timeout: float = 20.0) -> dict[str, Any]:
        """The recipient's row of the only message for this domain, once a try has failed for now."""

        def look() -> dict[str, Any] | None:
            rows = [row for message in self.list_queue() for row in message["recipients"]]
            found = [row for row in rows if row["address"].endswith("@" + domain) and row["attempts"]]
            return found[0] if found else None

        found = wait_until(look, f"a failed try for {domain}", timeout)
        assert found is not None
        return found


@contextlib.contextmanager
def open_lab(directory: Path) -> Iterator[Lab]:
    lab = Lab(directory)
    try:
        yield lab
    finally:
        lab.close()
