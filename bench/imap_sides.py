"""The two IMAP servers of bench/imap.py, set up alike: loopback, a plain and a TLS port, the same users and password.

Dovecot keeps its default mail_fsync (an APPEND is on disk when it is answered, as ours), passwords as SHA512-CRYPT with
its cache of them on, and login processes of its high-performance mode; ours argon2id and its memory of right passwords.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

import trustme

from bench.accounts import PASSWORD, make_accounts
from bench.dovecot import DovecotDaemon
from bench.imap_client import Client
from bench.lab import LabError, Process, list_trees, wait_port
from bench.sides import PROGRAM

OURS = "posthouse"
USERS = 220
FEW_USERS = 24
_STOP_S = 20.0
_LIMITS = ("sessions_per_account", "sessions_per_account_and_address")


def name_user(number: int) -> str:
    return f"u{number}@src.test"


class ImapSide(Protocol):
    name: str
    port: int
    tls_port: int

    @property
    def pids(self) -> list[int]:
        """Roots of its process trees."""

    def start(self, base: Path, users: int) -> None: ...

    def restart(self) -> None:
        """New processes with empty caches; what is on disk stays, the page cache too."""

    def stop(self) -> None: ...


class PosthouseImap:
    name = OURS

    def __init__(self) -> None:
        self.port, self.tls_port = find_ports()
        self._base = Path()
        self._process: Process | None = None

    @property
    def pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    @property
    def configuration(self) -> Path:
        return self._base / "posthouse.toml"

    def start(self, base: Path, users: int) -> None:
        self.prepare(base, users)
        self.restart()

    def prepare(self, base: Path, users: int) -> None:
        self._base = base
        lines = [
            'hostname = "ph.test"',
            f'data = "{base}/data"',
            f'runtime = "{base}/run"',
            "[tls]",
            f'certificate = "{base}/cert.pem"',
            f'key = "{base}/key.pem"',
        ]
        for port, tls in ((self.port, "off"), (self.tls_port, "implicit")):
            lines += ["[[listener]]", 'service = "imap"', f'bind = "127.0.0.1:{port}"', f'tls = "{tls}"']
        lines += ["[imap]", *(f"{limit} = 0" for limit in _LIMITS)]
        make_certificate(base)
        self.configuration.write_text("\n".join(lines) + "\n")
        make_accounts(self.configuration, users, with_password=True)

    def restart(self) -> None:
        self.stop()
        source = str(Path(__file__).resolve().parent.parent / "src")
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))}
        command = [sys.executable, "-c", PROGRAM, "-c", str(self.configuration), "serve"]
        self._process = Process(command, self._base / "posthouse.log", environment)
        wait_port(self.port, process=self._process)

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None


class DovecotImap(DovecotDaemon):
    def __init__(self) -> None:
        super().__init__()
        self.port, self.tls_port = find_ports()

    def start(self, base: Path, users: int) -> None:
        make_certificate(base)
        crypted = subprocess.run(
            ["openssl", "passwd", "-6", PASSWORD], capture_output=True, text=True, check=True
        ).stdout.strip()
        lines = "".join(f"{name_user(number)}:{{SHA512-CRYPT}}{crypted}\n" for number in range(users))
        (base / "passwd").write_text(lines)
        self.write_conf(base, "dovecot-imap.conf", {"@IMAP@": str(self.port), "@IMAPS@": str(self.tls_port)})
        self.launch(self.port)

    def restart(self) -> None:
        self.stop()
        self.launch(self.port)

    def stop(self) -> None:
        processes = list_trees(self.pids)
        super().stop()
        deadline = time.monotonic() + _STOP_S
        while any(Path(f"/proc/{pid}").exists() for pid in processes):
            if time.monotonic() > deadline:
                raise LabError("Dovecot does not end")
            time.sleep(0.02)


def find_ports() -> tuple[int, int]:
    """Free ones, so that two measurements at once do not talk to each other's servers."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def make_certificate(base: Path) -> None:
    issued = trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("ph.test", key_type=trustme.KeyType.ECDSA)
    issued.private_key_pem.write_to_path(base / "key.pem")
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(base / "cert.pem", append=number > 0)


def log_in(side: ImapSide, user: int, mailbox: str = "") -> Client:
    client = Client(side.port)
    client.log_in(name_user(user), PASSWORD)
    if mailbox:
        client.select(mailbox)
    return client
