"""Mail servers that people run, each on a host of the lab: Postfix, Exim, Dovecot."""

from __future__ import annotations

import imaplib
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.lab import NETWORK4, NETWORK6, Host, Lab, LabError, MailServer, Server, make_certificate

DOVECOT_PASSWORD = "swordfish"


class Postfix(MailServer):
    """Postfix on a host: takes mail for `mailboxes` (and their domains alone), sends everything else by MX."""

    MASTER = Path(__file__).resolve().parents[2] / "bench" / "peers" / "postfix.master.cf"

    def __init__(
        self, lab: Lab, host: Host, hostname: str, mailboxes: Sequence[str], settings: str = "", services: str = ""
    ) -> None:
        """`settings` are more lines of main.cf, `services` of master.cf."""
        self.host = host
        base = host.directory
        self.conf, self.mail, self.maillog = base / "conf", base / "mail", base / "maillog"
        for path in (self.conf, base / "queue", base / "data", self.mail):
            path.mkdir()
        for path in (base / "data", self.mail):
            shutil.chown(path, "postfix", "postfix")
        (self.conf / "master.cf").write_text(self.MASTER.read_text().replace("@PORT@", "25") + services)
        lines = [f"myhostname={hostname}", *self._list_places(base), *self._list_mailboxes(mailboxes)]
        lines += [*self._list_tls(hostname), settings]
        (self.conf / "main.cf").write_text("\n".join(lines) + "\n")
        self._postfix("set-permissions")
        started = self._postfix("start")
        if started.returncode:
            raise LabError(f"postfix start: {started.stdout}{started.stderr}{self.read_log()}")
        lab.stop_at_end(lambda: self._postfix("stop"))
        host.wait_port(25)

    def _list_places(self, base: Path) -> list[str]:
        return [
            "compatibility_level=3.6",
            f"queue_directory={base}/queue",
            f"data_directory={base}/data",
            "command_directory=/usr/sbin",
            "daemon_directory=/usr/lib/postfix/sbin",
            "mail_owner=postfix",
            "setgid_group=postdrop",
            "mydestination=",
            "inet_interfaces=all",
            "inet_protocols=all",
            "mynetworks=127.0.0.0/8",
            f"maillog_file={self.maillog}",
            f"maillog_file_prefixes=/{base.parts[1]}",
            f"debug_peer_list={NETWORK4}.0/24,[{NETWORK6}::]/64",
            "smtputf8_enable=yes",
            "smtp_address_preference=ipv4",
        ]

    def _list_mailboxes(self, mailboxes: Sequence[str]) -> list[str]:
        pairs = [(address, *address.split("@")) for address in mailboxes]
        table = "".join(f"{address} {domain}/{local}/\n" for address, local, domain in pairs)
        (self.conf / "mailboxes").write_text(table)
        owner = self.mail.stat()
        return [
            f"virtual_mailbox_domains={','.join({domain for _, _, domain in pairs})}",
            f"virtual_mailbox_base={self.mail}",
            f"virtual_mailbox_maps=texthash:{self.conf}/mailboxes",
            f"virtual_uid_maps=static:{owner.st_uid}",
            f"virtual_gid_maps=static:{owner.st_gid}",
            "virtual_minimum_uid=50",
        ]

    def _list_tls(self, hostname: str) -> list[str]:
        chain, key = make_certificate(self.host.directory, hostname)
        return [
            f"smtpd_tls_chain_files={key},{chain}",
            "smtpd_tls_security_level=may",
            "smtp_tls_security_level=may",
            "smtpd_tls_received_header=yes",
            "smtp_tls_loglevel=1",
        ]

    def _postfix(self, word: str) -> subprocess.CompletedProcess[str]:
        return self.host.run("postfix", "-c", str(self.conf), word)

    def sendmail(self, *words: str, data: str | bytes) -> None:
        self.host.must("sendmail", "-C", str(self.conf), *words, data=data)

    def read_log(self) -> str:
        return self.maillog.read_text(errors="replace") if self.maillog.exists() else ""


class Exim(MailServer):
    """Exim (unpacked, not installed) on a host: takes mail for `mailboxes`, sends everything else by MX."""

    ROOT = Path(os.environ.get("EXIM_ROOT", "/usr/local/lib/posthouse-interop/exim"))

    def __init__(
        self, lab: Lab, host: Host, hostname: str, mailboxes: Sequence[str], sections: Mapping[str, str] | None = None
    ) -> None:
        """`sections`: more text for routers, transports and authenticators of exim.conf."""
        self.host = host
        base = host.directory
        self.mail, self.logs, self.conf = base / "mail", base / "log", base / "exim.conf"
        binary = self.ROOT / "usr" / "sbin" / "exim4"
        for path in (self.mail, self.logs, base / "spool"):
            path.mkdir()
            shutil.chown(path, "Debian-exim", "Debian-exim")
        pairs = [(address, *address.split("@")) for address in mailboxes]
        table = "".join(f"{address}: {domain}/{local}\n" for address, local, domain in pairs)
        (base / "mailboxes").write_text(table)
        chain, key = make_certificate(base, hostname)
        template = (Path(__file__).parent / "exim.conf").read_text()
        values = {
            "BASE": str(base),
            "BINARY": str(binary),
            "HOSTNAME": hostname,
            "DOMAINS": " : ".join({address.partition("@")[2] for address in mailboxes}),
            "CERT": str(chain),
            "KEY": str(key),
            **{name.upper(): (sections or {}).get(name, "") for name in ("routers", "transports", "authenticators")},
        }
        for name, value in values.items():
            template = template.replace(f"@{name}@", value)
        self.conf.write_text(template)
        self.conf.chmod(0o644)
        self._program = [str(binary), "-C", str(self.conf)]
        self.server = Server(host, [*self._program, "-bdf", "-q1m"])
        lab.stop_at_end(self.server.stop)
        host.wait_port(25)

    def sendmail(self, *words: str, data: str | bytes) -> None:
        self.host.must(*self._program, "-odf", *words, data=data)

    def read_log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.logs.iterdir()))


class Dovecot(MailServer):
    """Dovecot on a host: LMTP on port 24 and `lmtp_socket`, IMAP, a Maildir for each of `users`."""

    def __init__(self, lab: Lab, host: Host, hostname: str, users: Mapping[str, str]) -> None:
        """`users`: address to quota, such as "100K"; "" for none."""
        self.host = host
        base = host.directory
        self.mail, self.lmtp_socket, self._imap_socket = base / "mail", base / "lmtp.sock", base / "imap.sock"
        self.mail.mkdir()
        shutil.chown(self.mail, "nobody", "nogroup")
        lines = [
            f"{user}:{{PLAIN}}{DOVECOT_PASSWORD}::::{self.mail}/{user.partition('@')[2]}/{user.partition('@')[0]}::"
            + (f"userdb_quota_rule=*:storage={quota}" if quota else "")
            for user, quota in users.items()
        ]
        (base / "users").write_text("\n".join(lines) + "\n")
        text = (Path(__file__).parent / "dovecot.conf").read_text()
        for name, value in {"BASE": str(base), "ADDRESS": host.ipv4, "HOSTNAME": hostname}.items():
            text = text.replace(f"@{name}@", value)
        conf = base / "dovecot.conf"
        conf.write_text(text)
        self.server = Server(host, ["dovecot", "-F", "-c", str(conf)])
        lab.stop_at_end(self.server.stop)
        host.wait_port(24)

    def find_maildir(self, address: str) -> Path:
        return super().find_maildir(address) / "Maildir"

    def open_imap(self, user: str) -> imaplib.IMAP4:
        """Logged in, over a socket of the file system: namespaces do not matter."""
        client = UnixImap(str(self._imap_socket))
        client.login(user, DOVECOT_PASSWORD)
        return client

    def read_log(self) -> str:
        log = self.host.directory / "dovecot.log"
        return self.server.read_log() + (log.read_text(errors="replace") if log.exists() else "")


class UnixImap(imaplib.IMAP4):
    def _create_socket(self, timeout: float | None) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(timeout or 30)
        connection.connect(self.host)
        return connection
