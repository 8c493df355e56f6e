"""Dovecot from Debian's packages, as LMTP server, mailbox store and SASL of Postfix; alone or behind Postfix."""

from __future__ import annotations

import contextlib
import pwd
import subprocess
from pathlib import Path

from bench.lab import LabError, wait_port
from bench.sides import IMAP_PORT, LMTP_PORT, PEERS, Postfix, Setup


class DovecotDaemon:
    """Its mailboxes belong to nobody's group of Postfix: user `postfix` serves as the owner of all mail."""

    name = "dovecot"

    def __init__(self) -> None:
        self._conf = Path()
        self._pid = 0

    @property
    def pids(self) -> list[int]:
        return [self._pid]

    def write_conf(self, base: Path, template: str, values: dict[str, str]) -> None:
        owner = pwd.getpwnam("postfix")
        (base / "dovecot").mkdir()
        mail = base / "mail"
        mail.mkdir()
        mail.chmod(0o777)
        text = (PEERS / template).read_text()
        for mark, value in {
            "@BASE@": str(base),
            "@UID@": str(owner.pw_uid),
            "@GID@": str(owner.pw_gid),
            **values,
        }.items():
            text = text.replace(mark, value)
        self._conf = base / "dovecot.conf"
        self._conf.write_text(text)

    def launch(self, port: int) -> None:
        self._run("dovecot", "-c", str(self._conf))
        wait_port(port)
        self._pid = int((self._conf.parent / "dovecot" / "run" / "master.pid").read_text())

    def _run(self, *command: str) -> None:
        said = self._conf.with_suffix(".said")  # no pipe: the daemon would keep it open
        with said.open("w") as stream:
            done = subprocess.run(command, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise LabError(f"{' '.join(command)}: {said.read_text()}")

    def stop(self) -> None:
        with contextlib.suppress(LabError):
            self._run("doveadm", "-c", str(self._conf), "stop")


class Dovecot(DovecotDaemon):
    def start(self, base: Path, setup: Setup) -> None:
        self.write_conf(base, "dovecot.conf", {"@IMAP@": str(IMAP_PORT), "@LMTP@": str(LMTP_PORT)})
        self.launch(LMTP_PORT)


class PostfixDovecot:
    """Postfix in front, Dovecot behind it: for mailboxes by LMTP, for submission by SASL."""

    name = "postfix+dovecot"

    def __init__(self) -> None:
        self._postfix, self._dovecot = Postfix(), Dovecot()

    @property
    def pids(self) -> list[int]:
        return self._postfix.pids + self._dovecot.pids

    def start(self, base: Path, setup: Setup) -> None:
        self._dovecot.start(base, setup)
        self._postfix.start(base, setup)

    def stop(self) -> None:
        self._postfix.stop()
        self._dovecot.stop()
