"""The servers that are compared, set up alike: Postfix from Debian's packages and ours.

Both: loopback, one port, DNS not asked, 20 connections to a destination, 100 processes for Postfix, no chroot.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench.accounts import make_accounts
from bench.lab import LabError, Process, wait_port

RELAY_PORT = 12525
SINK_PORT = 12526
HTTP_PORT = 12580
PROGRAM = "from posthouse.app.cli import main; main()"
LMTP_PORT = 12527
IMAP_PORT = 12528
USERS = 100  # u0@dst.test and so on, with maildirs

PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path


@dataclass(frozen=True)
class Setup:
    """What both sides are told. `routes` maps a recipient's domain to a sink's address; "*" is any."""

    routes: Mapping[str, str] = field(default_factory=lambda: {"*": "127.0.0.1"})
    certificate: Certificate | None = None
    maildirs: Path | None = None  # instead of routes: deliver dst.test below this directory
    users: int = 0  # instead of routes: so many mailboxes u0@dst.test ... in a message store
    submission: bool = False  # routes, but for u0@src.test with a password, over TLS


class Side(Protocol):
    name: str

    def start(self, base: Path, setup: Setup) -> None: ...

    @property
    def pids(self) -> list[int]:
        """Roots of its process trees."""

    def stop(self) -> None: ...


class Postfix:
    name = "postfix"

    def __init__(self) -> None:
        self._conf = Path()
        self._pid = 0

    @property
    def pids(self) -> list[int]:
        return [self._pid]

    def _write(self, base: Path, setup: Setup) -> None:
        self._conf = base / "conf"
        for name in ("conf", "data", "queue"):
            (base / name).mkdir()
        shutil.chown(base / "data", "postfix")
        prefix = "/" + "/".join(base.parts[1:3])
        for name in ("main.cf", "master.cf"):
            text = (PEERS / f"postfix.{name}").read_text()
            text = text.replace("@BASE@", str(base)).replace("@PREFIX@", prefix).replace("@PORT@", str(RELAY_PORT))
            (self._conf / name).write_text(text)
        with (self._conf / "main.cf").open("a") as stream:
            stream.writelines(f"{line}\n" for line in self._list_settings(base, setup))

    def _list_settings(self, base: Path, setup: Setup) -> list[str]:
        lines = []
        if setup.certificate:
            lines += [
                f"smtpd_tls_chain_files={setup.certificate.key},{setup.certificate.chain}",
                "smtpd_tls_security_level=may",
                "smtp_tls_security_level=may",
            ]
        if setup.submission:
            lines += [
                "smtpd_sasl_auth_enable=yes",
                "smtpd_sasl_type=dovecot",
                f"smtpd_sasl_path={base}/dovecot/run/auth-bench",
                "smtpd_tls_auth_only=yes",
                "smtpd_relay_restrictions=permit_sasl_authenticated,reject",
            ]
        if setup.users:
            lines += [
                "virtual_mailbox_domains=dst.test",
                f"virtual_transport=lmtp:inet:127.0.0.1:{LMTP_PORT}",
                "lmtp_destination_concurrency_limit=20",
                "lmtp_destination_recipient_limit=1",
            ]
        elif setup.maildirs:
            setup.maildirs.mkdir(mode=0o755)
            shutil.chown(setup.maildirs, "postfix", "postfix")
            identity = setup.maildirs.stat()
            users = "".join(f"u{number}@dst.test dst.test/u{number}/\n" for number in range(USERS))
            (self._conf / "mailboxes").write_text(users)
            lines += [
                "virtual_mailbox_domains=dst.test",
                f"virtual_mailbox_base={setup.maildirs}",
                f"virtual_mailbox_maps=texthash:{self._conf}/mailboxes",
                f"virtual_uid_maps=static:{identity.st_uid}",
                f"virtual_gid_maps=static:{identity.st_gid}",
                "virtual_mailbox_limit=0",
                "virtual_minimum_uid=50",
                "virtual_destination_concurrency_limit=20",
            ]
        elif "*" in setup.routes:
            lines.append(f"relayhost=[{setup.routes['*']}]:{SINK_PORT}")
        else:
            table = "".join(f"{domain} smtp:[{address}]:{SINK_PORT}\n" for domain, address in setup.routes.items())
            (self._conf / "transport").write_text(table)
            lines.append(f"transport_maps=texthash:{self._conf}/transport")
        return lines

    def _run(self, *words: str) -> None:
        done = subprocess.run(
            ["postfix", "-c", str(self._conf), *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode and "set-permissions" not in words:
            raise LabError(f"postfix {' '.join(words)}: {done.stdout}{done.stderr}")

    def start(self, base: Path, setup: Setup) -> None:
        self._write(base, setup)
        self._run("set-permissions")
        self._run("start")
        wait_port(RELAY_PORT)
        self._pid = int((base / "queue" / "pid" / "master.pid").read_text())

    def stop(self) -> None:
        self._run("stop")
        deadline = time.monotonic() + 10
        while Path(f"/proc/{self._pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


class Posthouse:
    name = "posthouse"

    def __init__(self) -> None:
        self._process: Process | None = None

    @property
    def pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    def _write(self, base: Path, setup: Setup) -> Path:
        lines = [
            'hostname = "ph.test"',
            f'data = "{base}/data"',
            f'runtime = "{base}/run"',
            *_listener("submission" if setup.submission else "smtp", RELAY_PORT, has_tls=setup.certificate is not None),
            *_listener("http", HTTP_PORT),
            "[smtp]",
            "look_up_names = false",
        ]
        if setup.certificate:
            lines += ["[tls]", f'certificate = "{setup.certificate.chain}"', f'key = "{setup.certificate.key}"']
        if setup.submission:
            none = ("messages_per_hour", "recipients_per_hour", "recipients_per_day")
            lines += ["[submission]", *(f"{limit} = 0" for limit in none)]
        if setup.users:
            lines += _listener("lmtp", LMTP_PORT)
        elif setup.maildirs:
            setup.maildirs.mkdir()
            template = f"maildir:{setup.maildirs}/{{domain}}/{{local}}"
            lines += ["[[route]]", 'domain = "dst.test"', f'to = "{template}"', 'accept = "anyone"']
        else:
            for domain, address in setup.routes.items():
                lines += ["[[route]]", f'domain = "{domain}"', f'to = "smtp://{address}:{SINK_PORT}"']
        path = base / "posthouse.toml"
        path.write_text("\n".join(lines) + "\n")
        if setup.users or setup.submission:
            make_accounts(path, setup.users or 1, with_password=setup.submission)
        return path

    def start(self, base: Path, setup: Setup) -> None:
        path = self._write(base, setup)
        source = str(Path(__file__).resolve().parent.parent / "src")
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))}
        self._process = Process(
            [sys.executable, "-c", PROGRAM, "-c", str(path), "serve"], base / "posthouse.log", environment
        )
        try:
            wait_port(RELAY_PORT, process=self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process:
            self._process.stop()


def _listener(service: str, port: int, *, has_tls: bool = False) -> list[str]:
    tls = "starttls" if has_tls else "off"
    return ["[[listener]]", f'service = "{service}"', f'bind = "127.0.0.1:{port}"', f'tls = "{tls}"']


def find_postfix() -> None:
    if not shutil.which("smtp-source", path="/usr/sbin:/usr/bin"):
        raise LabError("Postfix is not installed: tests/interop/install.sh does it")
