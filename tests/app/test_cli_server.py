"""init, check and the shape of the command line."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from posthouse.adapters.files import Space
from posthouse.app.check import (
    check_certificate,
    check_clock,
    check_configuration,
    check_data,
    check_directory,
    check_mail_roots,
    check_network,
    check_ports,
    check_program,
    is_good,
    run_as,
)
from posthouse.app.cli import main
from posthouse.app.finding import Finding
from posthouse.app.privileges import Identity, find_identity, find_unreadable
from posthouse.app.sockets import open_listener
from posthouse.config import Settings, load, parse
from posthouse.config.kinds import Bind
from posthouse.ports.resolver import FakeResolver

NOW = 1_800_000_000.0
HEAD = 'hostname = "mail.example.org"\npostmaster = "p@example.org"\n'


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, prog_name="posthouse")


def init(directory: Path) -> Path:
    file = directory / "posthouse.toml"
    result = run("-c", str(file), "init", "--hostname", "mail.example.org", "--domain", "example.org",
                 "--data", str(directory / "data"))  # fmt: skip
    assert result.exit_code == 0, result.output
    return file


def test_init_writes_a_valid_commented_configuration_and_private_directories(tmp_path: Path) -> None:
    file = init(tmp_path)
    settings = load(str(file))
    assert settings.hostname == "mail.example.org"
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "data" / "directory.db").stat().st_mode & 0o777 == 0o600
    assert list(check_directory(settings, find_identity(None))) == [Finding("directory", "ok", "1 domain hosted")]
    assert file.read_text().count("#") > 10


def test_init_opens_a_door_for_each_kind_of_client(tmp_path: Path) -> None:
    settings = load(str(init(tmp_path)))
    doors = [(each.service, each.bind.port, each.tls) for each in settings.listener if each.bind.host == "0.0.0.0"]
    assert doors == [
        ("smtp", 25, "starttls"),
        ("submission", 587, "starttls"),
        ("submission", 465, "implicit"),
        ("imap", 993, "implicit"),
        ("imap", 143, "starttls"),
    ]
    [lmtp] = [each.bind for each in settings.listener if each.service == "lmtp"]
    assert lmtp.path == f"{settings.runtime}/lmtp.sock"


def test_init_makes_an_administrator_whose_password_is_shown_once(tmp_path: Path) -> None:
    arguments = ("--hostname", "mail.example.org", "--domain", "example.org", "--data", str(tmp_path / "data"))
    first = run("-c", str(tmp_path / "posthouse.toml"), "init", *arguments)
    assert re.search(r"Account admin@example\.org, .* shown only now: [a-z2-7]{4}(-[a-z2-7]{4}){5}\n", first.output)
    listed = run("-c", str(tmp_path / "posthouse.toml"), "account", "list", "--json")
    assert [json.loads(line)["admin"] for line in listed.output.splitlines()] == [True]
    again = run("-c", str(tmp_path / "second.toml"), "init", *arguments)
    assert again.exit_code == 0
    assert "admin@" not in again.output


def test_a_domain_that_is_hosted_twice_is_a_warning(tmp_path: Path) -> None:
    file = init(tmp_path)
    (tmp_path / "mail").mkdir()
    route = f'[[route]]\ndomain = "example.org"\nto = "maildir:{tmp_path}/mail/{{local}}"\naccept = "anyone"\n'
    settings = parse(file.read_text() + route, str(file))
    assert texts(list(check_directory(settings, find_identity(None))))[0] == (
        "warning: example.org has a [[route]] and accounts: its mail goes to the accounts only"
    )
    assert list(check_mail_roots(settings, find_identity(None))) == [
        Finding("mailboxes", "ok", f"below {tmp_path}/mail")
    ]


def test_nothing_hosted_is_a_warning_and_makes_no_file(tmp_path: Path) -> None:
    settings = parse(f'{HEAD}data = "{tmp_path}"\n')
    assert texts(list(check_directory(settings, find_identity(None)))) == [
        "warning: no domain is hosted (posthouse domain add)"
    ]
    assert list(tmp_path.iterdir()) == []


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    file = init(tmp_path)
    before = file.read_text()
    result = run("-c", str(file), "init", "--hostname", "b.example", "--domain", "b.example", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert "already there; it is not overwritten" in result.output
    assert file.read_text() == before


def test_init_refuses_a_name_that_is_none(tmp_path: Path) -> None:
    result = run(
        "-c", str(tmp_path / "p.toml"), "init", "--hostname", "no name", "--domain", "b.example", "--data", "d"
    )
    assert result.exit_code == 2
    assert "hostname: 'no name': domain is not valid" in result.output
    assert list(tmp_path.iterdir()) == []


def test_defaults_are_printed_as_toml(tmp_path: Path) -> None:
    result = run("check", "--defaults")
    assert result.exit_code == 0
    assert parse(result.output) == Settings(hostname="mail.example.org", data="/var/lib/posthouse")


@pytest.mark.parametrize("command", [["check"], ["serve"], ["queue", "list"], ["trace", "x"], ["fsck"]])
def test_a_broken_configuration_is_exit_code_2_with_file_line_and_key(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "p.toml"
    file.write_text('hostname = "mail.example.org"\ndata = "d"\nworker = 3\n')
    result = run("-c", str(file), *command)
    assert result.exit_code == 2
    assert result.output.startswith(f"{file}:3: worker: unknown key (did you mean workers?); allowed: hostname, data")


@pytest.mark.parametrize("arguments", [["nonsense"], ["queue", "show"], ["queue", "list", "--limit", "0"], ["--odd"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_every_promised_command_is_there() -> None:
    assert set(main.commands) == {
        "init", "check", "serve", "demo", "queue", "trace", "sendmail", "sessions", "fsck",
        "domain", "account", "alias", "import", "export", "undelete",
    }  # fmt: skip
    group = main.commands["queue"]
    assert isinstance(group, click.Group)
    assert set(group.commands) == {"list", "show", "stats", "hold", "release", "retry", "delete", "bounce"}


def test_check_prints_findings_as_a_table_or_as_json(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(HEAD + 'data = "data"\n[[listener]]\nservice = "smtp"\nbind = "127.0.0.1:0"\n')
    result = run("-c", str(file), "check", "--no-network")
    assert result.exit_code == 0, result.output
    assert "posthouse serve makes it" in result.output
    result = run("-c", str(file), "check", "--no-network", "--json")
    found = [json.loads(line) for line in result.output.splitlines()]
    assert {"area": "ports", "level": "ok", "text": "127.0.0.1:0 can be listened on (smtp)"} in found


def make_settings(text: str, data: str = "/d") -> Settings:
    return parse(f'{HEAD}data = "{data}"\n{text}', "/p.toml")


def texts(findings: object) -> list[str]:
    assert isinstance(findings, list)
    return [f"{each.level}: {each.text}" for each in findings]


def test_a_missing_postmaster_and_unreadable_files_are_told(tmp_path: Path) -> None:
    text = f'hostname = "m.example"\ndata = "/d"\n[metrics]\ntoken_file = "{tmp_path}/none"\n'
    found = texts(list(check_configuration(parse(text))))
    assert "warning: postmaster is not set: mail for it and double bounces are held in the queue" in found
    assert f"error: metrics.token_file: {tmp_path}/none cannot be read" in found


@pytest.mark.parametrize(
    ("bind", "more", "is_told"),
    [
        ("0.0.0.0:80", "", True),
        ("0.0.0.0:443", 'tls = "implicit"\n', False),
        ("127.0.0.1:80", "", False),
        ("unix:/run/http.sock", "", False),
        ("10.0.0.1:80", '[web]\ntrusted_proxies = ["10.0.0.0/8"]\n', False),
    ],
)
def test_a_web_page_where_nobody_can_sign_in_is_told(bind: str, more: str, is_told: bool) -> None:
    settings = make_settings(f'[[listener]]\nservice = "http"\nbind = "{bind}"\n{more}')
    told = f"warning: {bind}: http without TLS, nobody from elsewhere can sign in there"
    assert (told in texts(list(check_configuration(settings)))) is is_told


def test_a_data_directory_others_may_read_or_that_is_full_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    identity = find_identity(None)
    settings = make_settings("", str(tmp_path))
    found = texts(list(check_data(settings, identity, lambda _: Space(1 << 20, 15_000))))
    assert f"warning: {tmp_path} has mode 0755; it should be 0700" in found
    assert "error: 1 MiB free, below the minimum of 256: mail is 452" in found
    assert "warning: 15000 inodes free, near the minimum of 10000" in found


def test_a_port_in_use_is_an_error_unless_our_server_has_it() -> None:
    identity = find_identity(None)
    opened = open_listener(Bind("127.0.0.1", 0), 1, identity)
    port = opened.socket.getsockname()[1]
    settings = make_settings(f'[[listener]]\nservice = "smtp"\nbind = "127.0.0.1:{port}"\n')
    assert "in use" in texts(list(check_ports(settings, identity, None)))[0]
    assert not is_good(list(check_ports(settings, identity, None)))
    assert is_good(list(check_ports(settings, identity, "posthouse serve, process 5")))
    opened.close(identity)


def test_a_socket_in_the_runtime_directory_is_fine_before_the_first_start(tmp_path: Path) -> None:
    text = f'runtime = "{tmp_path}/run"\n[[listener]]\nservice = "lmtp"\nbind = "unix:{tmp_path}/%s/lmtp.sock"\n'
    inside, outside = make_settings(text % "run"), make_settings(text % "other")
    assert texts(list(check_ports(inside, find_identity(None), None))) == [
        f"ok: unix:{tmp_path}/run/lmtp.sock: its directory is made by posthouse serve"
    ]
    assert "no such file or directory" in texts(list(check_ports(outside, find_identity(None), None)))[0]


def test_a_clock_behind_what_was_last_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "journal" / "0").mkdir(parents=True)
    (tmp_path / "journal" / "0" / "2027-01-15T08.log").write_bytes(b"")
    written = (tmp_path / "journal" / "0" / "2027-01-15T08.log").stat().st_mtime
    assert [each.level for each in check_clock(str(tmp_path), written + 5)] == ["ok"]
    assert texts(list(check_clock(str(tmp_path), written - 86400)))[0].startswith("error: behind by 1 day")
    assert texts(list(check_clock(str(tmp_path / "x"), 1000.0)))[0].startswith("error: it is 1970-01-01?")


class Certificates:
    """Certificate and key files for the checks."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())

    def write(self, name: str, begins: float, ends: float) -> Settings:
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(datetime.fromtimestamp(NOW, UTC) + timedelta(days=begins))
            .not_valid_after(datetime.fromtimestamp(NOW, UTC) + timedelta(days=ends))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        (self.directory / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.write_key(self.key)
        return make_settings(f'[tls]\ncertificate = "{self.directory}/c.pem"\nkey = "{self.directory}/k.pem"\n')

    def write_key(self, key: ec.EllipticCurvePrivateKey) -> None:
        form, how = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        (self.directory / "k.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, how))


@pytest.mark.parametrize(
    ("name", "begins", "ends", "levels"),
    [
        ("mail.example.org", -10, 50, ["ok"]),
        ("*.example.org", -10, 50, ["ok"]),
        ("mail.example.org", -10, 10, ["warning"]),
        ("mail.example.org", -10, -1, ["error"]),
        ("mail.example.org", 1, 50, ["error", "ok"]),
        ("other.example.org", -10, 50, ["ok", "warning"]),
    ],
)
def test_a_certificate_is_judged_by_its_dates_and_names(
    tmp_path: Path, name: str, begins: float, ends: float, levels: list[str]
) -> None:
    settings = Certificates(tmp_path).write(name, begins, ends)
    assert [finding.level for finding in check_certificate(settings, NOW)] == levels


def test_a_key_of_another_certificate_is_an_error(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    settings = certificates.write("mail.example.org", -10, 50)
    certificates.write_key(ec.generate_private_key(ec.SECP256R1()))
    assert "is not the key of" in texts(list(check_certificate(settings, NOW)))[0]
    (tmp_path / "k.pem").write_text("nonsense")
    assert texts(list(check_certificate(settings, NOW)))[0].startswith("error: certificate or key cannot be used")


KNOWN = FakeResolver(
    mx={"gmail.com": [(5, "mx.gmail.example")]},
    ipv4={"mx.gmail.example": ["192.0.2.25"], "mail.example.org": ["192.0.2.1"]},
    ptr={"192.0.2.1": ["mail.example.org"]},
)


async def probe(settings: Settings, resolver: FakeResolver, error: OSError | None = None) -> list[str]:
    async def connect(address: str, port: int) -> None:
        if error is not None:
            raise error

    return texts(await check_network(settings, resolver, connect))


async def test_names_that_point_both_ways_and_an_open_port_are_good() -> None:
    assert await probe(make_settings(""), KNOWN) == ["ok: answers", "ok: port 25 of other hosts can be reached"]


async def test_a_blocked_port_25_is_a_warning() -> None:
    found = await probe(make_settings(""), KNOWN, ConnectionRefusedError(111, "Connection refused"))
    assert found[-1] == "warning: port 25 of 192.0.2.25 cannot be reached: Connection refused; is it blocked?"


async def test_a_hostname_that_points_elsewhere_or_nowhere_is_told() -> None:
    resolver = FakeResolver(KNOWN.mx, KNOWN.ipv4, ptr={"192.0.2.1": ["host.provider.example"]})
    found = await probe(make_settings(""), resolver)
    assert found[0] == "warning: 192.0.2.1 points back to host.provider.example, not to mail.example.org"
    nameless = FakeResolver(KNOWN.mx, {"mx.gmail.example": ["192.0.2.25"]})
    assert (await probe(make_settings(""), nameless))[0] == "warning: mail.example.org does not exist"


async def test_dns_that_fails_is_an_error_and_one_without_a_way_out_a_warning() -> None:
    failing = FakeResolver(failing=["mail.example.org"])
    assert (await probe(make_settings(""), failing))[0].startswith("error: no answer: mail.example.org: SERVFAIL")
    inside = FakeResolver(ipv4={"mail.example.org": ["192.0.2.1"]}, ptr={"192.0.2.1": ["mail.example.org"]})
    not_tried = "warning: port 25 of other hosts was not tried: no host to try it with"
    assert (await probe(make_settings(""), failing))[1:] == [not_tried]
    unknown = "warning: answers, but does not know gmail.com: no way out?"
    assert await probe(make_settings(""), inside) == [unknown, not_tried]


def test_a_user_who_cannot_run_the_program_is_told_why() -> None:
    other = Identity("mail", 1, 1, (), is_other=True)
    assert texts(list(check_program(other, lambda _: ""))) == ["ok: mail can run it"]
    told = texts(list(check_program(other, lambda _: "/opt/python3: Permission denied")))
    assert told == ["error: mail cannot run it: /opt/python3: Permission denied"]
    assert list(check_program(find_identity(None), lambda _: "never asked")) == []


def test_whoever_runs_this_can_run_the_program() -> None:
    here = find_identity(None)
    assert run_as(here) == ""


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    assert find_unreadable([__file__, missing]) == missing
    assert find_unreadable([__file__]) is None
