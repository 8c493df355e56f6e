"""Mail programs that fetch by POP3: each gets every message octet for octet, deletes what it should, and knows again
what it has.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.interop.lab import Host, Lab
from tests.interop.office import PASSWORD, PostOffice

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

ACCOUNTS = [f"reader{number}@here.test" for number in range(40)]
COMMANDS = ("domain add here.test", *[f"account add {address} --password-stdin" for address in ACCOUNTS])
TABLES = """
[[listener]]
service = "pop3"
bind = "0.0.0.0:110"
tls = "starttls"

[[listener]]
service = "pop3"
bind = "0.0.0.0:995"
tls = "implicit"
"""
BODIES = {
    "plain": "Hello.\r\n",
    "dots": ".\r\n..\r\n.hidden\r\n. \r\n",
    "eight bits": "schöne Grüße, 日本語\r\n",
    "long": "x" * 900 + "\r\n",
    "one megabyte": "".join(f".{number:06} " + "y" * 62 + "\r\n" for number in range(14_500)),
}
HEAD = (
    "From: ann@there.test\r\nTo: bob@here.test\r\nSubject: {}\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
    "Message-ID: <{}@there.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: 8bit\r\n\r\n"
)
PORTS = pytest.mark.parametrize("port", [110, 995])


@dataclass
class World:
    server: PostOffice
    client: Host
    unused: list[str]

    @property
    def address(self) -> str:
        return self.server.host.ipv4

    def fill(self) -> str:
        """An account with one message of each kind."""
        account = self.unused.pop()
        for number, (subject, body) in enumerate(BODIES.items()):
            data = HEAD.format(subject, number) + body
            self.server.submit("ann@there.test", [account], data.encode(), mail_options=["BODY=8BITMIME"])
        self.server.wait_stored(account, len(BODIES))
        return account

    def stored(self, account: str) -> list[bytes]:
        return [message.octets for message in self.server.read_mailbox(account)]

    def path(self, name: str) -> Path:
        return self.client.directory / f"{next(_numbers)}-{name}"

    def write(self, name: str, text: str) -> Path:
        path = self.path(name)
        path.write_text(text)
        path.chmod(0o600)
        return path


_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    host, client = lab.add_host("server"), lab.add_host("client")
    server = PostOffice(lab, host, "mx.here.test", COMMANDS, tables=TABLES)
    host.wait_port(995)
    return World(server, client, list(ACCOUNTS))


def make_maildir(path: Path) -> Path:
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    return path


def read_files(path: Path) -> list[bytes]:
    """What a program wrote into a Maildir, with the line ends of this system."""
    return sorted(file.read_bytes() for file in (path / "new").iterdir())


def in_lines(messages: list[bytes]) -> list[bytes]:
    return sorted(message.replace(b"\r\n", b"\n") for message in messages)


# -- Python


POPLIB = """
import poplib, ssl, sys
address, port, user, password = sys.argv[1:5]
context = ssl._create_unverified_context()
if port == "995":
    pop = poplib.POP3_SSL(address, 995, context=context)
else:
    pop = poplib.POP3(address, 110)
    assert "STLS" in pop.capa() and "USER" not in pop.capa()
    pop.stls(context)
assert "USER" in pop.capa()
pop.utf8()
pop.user(user)
pop.pass_(password)
count, octets = pop.stat()
sizes = [int(line.split()[1]) for line in pop.list()[1]]
assert len(sizes) == count and sum(sizes) == octets
assert len({line.split()[1] for line in pop.uidl()[1]}) == count
for number in range(1, count + 1):
    lines = pop.retr(number)[1]
    message = b"".join(line + b"\\r\\n" for line in lines)
    assert len(message) == sizes[number - 1]
    head = pop.top(number, 0)[1]
    assert head == lines[:lines.index(b"") + 1]
    sys.stdout.buffer.write(message)
    pop.dele(number)
pop.rset()
pop.dele(1)
pop.quit()
"""


@PORTS
def test_poplib(world: World, port: int) -> None:
    account = world.fill()
    before = world.stored(account)
    got = world.client.must(sys.executable, "-c", POPLIB, world.address, str(port), account, PASSWORD)
    assert got.replace("\r\n", "\n") == b"".join(before).decode().replace("\r\n", "\n")
    assert world.stored(account) == before[1:]
    assert all("\\Seen" not in message.flags for message in world.server.read_mailbox(account))  # RSET forgot it


# -- curl


@PORTS
@pytest.mark.parametrize("mechanism", ["", "AUTH=PLAIN", "AUTH=LOGIN"])
def test_curl(world: World, port: int, mechanism: str) -> None:
    account = world.fill()
    scheme = "pop3s" if port == 995 else "pop3"
    command = ["curl", "--silent", "--show-error", "--insecure", "--ssl-reqd", "--user", f"{account}:{PASSWORD}"]
    command += ["--login-options", mechanism] if mechanism else []
    url = f"{scheme}://{world.address}:{port}/"
    assert len(world.client.must(*command, url).splitlines()) == len(BODIES)
    assert len(world.client.must(*command, "--request", "UIDL", url).splitlines()) == len(BODIES)
    path = world.path("curl")
    world.client.must(*command, "--output", str(path), "--sasl-ir", url + "2")
    assert path.read_bytes() == world.stored(account)[1]
    world.client.must(*command, "--request", "DELE", "--list-only", url + "1")
    assert len(world.stored(account)) == len(BODIES) - 1


# -- fetchmail


@PORTS
def test_fetchmail(world: World, port: int) -> None:
    account = world.fill()
    before = world.stored(account)
    folder = world.path("fetched")
    folder.mkdir()
    tls = "ssl" if port == 995 else "sslproto TLS1.2+"
    rc = world.write(
        "fetchmailrc",
        f'set idfile "{world.path("ids")}"\nset invisible\n'
        f'poll {world.address} protocol pop3 port {port} auth password uidl user "{account}" password "{PASSWORD}"'
        f' {tls} no sslcertck keep mda "tee {folder}/$$ >/dev/null; mv {folder}/$$ $(mktemp {folder}/XXXXXX)"\n',
    )
    home = ["env", f"HOME={folder}", f"FETCHMAILHOME={folder}"]
    fetch = [*home, "fetchmail", "--nodetach", "--nosyslog", "-f", str(rc)]
    world.client.must(*fetch)
    assert sorted(file.read_bytes() for file in folder.iterdir() if file.suffix == "" and len(file.name) == 6) == (
        in_lines(before)
    )
    again = world.client.run(*fetch)
    assert again.returncode == 1, again.stdout + again.stderr  # nothing new
    world.client.must(*fetch, "--all", "--nokeep")
    assert world.stored(account) == []


# -- getmail


def test_getmail(world: World) -> None:
    """Of getmail only the retriever with TLS from the start can be used: it does not know STLS."""
    account = world.fill()
    before = world.stored(account)
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        fetch_with_getmail(world, account, before, make_maildir(Path(place) / "mail"))


def fetch_with_getmail(world: World, account: str, before: list[bytes], maildir: Path) -> None:
    for path in (maildir, *maildir.iterdir()):
        shutil.chown(path, "nobody")  # it delivers nothing as root
    rc = world.write(
        "getmailrc",
        f"[retriever]\ntype = SimplePOP3SSLRetriever\nserver = {world.address}\nusername = {account}\n"
        f"password = {PASSWORD}\n[destination]\ntype = Maildir\npath = {maildir}/\nuser = nobody\n"
        "[options]\nread_all = false\ndelete = false\ndelivered_to = false\nreceived = false\n",
    )
    getmail = ["getmail", f"--getmaildir={rc.parent}", f"--rcfile={rc}"]
    world.client.must(*getmail)
    assert read_files(maildir) == in_lines(before)
    world.client.must(*getmail)
    assert len(read_files(maildir)) == len(BODIES)  # it knows them by their ids
    world.client.must(*getmail, "--all", "--delete")
    assert world.stored(account) == []


# -- mpop


@PORTS
@pytest.mark.parametrize("mechanism", ["user", "plain", "login", "scram-sha-1", "scram-sha-256"])
def test_mpop(world: World, port: int, mechanism: str) -> None:
    account = world.fill()
    before = world.stored(account)
    maildir = make_maildir(world.path("maildir"))
    rc = world.write(
        "mpoprc",
        f"account default\nhost {world.address}\nport {port}\nuser {account}\npassword {PASSWORD}\n"
        f"auth {mechanism}\ntls on\ntls_starttls {'off' if port == 995 else 'on'}\ntls_certcheck off\npipelining on\n"
        f"delivery maildir {maildir}\nuidls_file {world.path('uidls')}\nreceived_header off\nkeep on\n",
    )
    world.client.must("mpop", "-q", "-C", str(rc))
    assert read_files(maildir) == in_lines(before)
    world.client.must("mpop", "-q", "-C", str(rc))
    assert len(read_files(maildir)) == len(BODIES)
    world.client.must("mpop", "-q", "-C", str(rc), "--keep=off")
    assert world.stored(account) == []
