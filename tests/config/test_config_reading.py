"""Reading posthouse.toml: values, defaults, and every error with file, line, key and what is allowed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.config import ConfigError, load, parse
from posthouse.config.kinds import Bind, format_duration, format_size, parse_duration, parse_size
from posthouse.config.reader import find_file
from posthouse.message.nexthop import HostHop, MaildirHop, MxHop

HEAD = 'hostname = "mail.example.org"\ndata = "/var/lib/posthouse"\n'


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "p.toml")
    return [str(problem) for problem in caught.value.problems]


def test_hostname_and_data_are_enough() -> None:
    settings = parse(HEAD)
    assert settings.hostname == "mail.example.org"
    assert settings.listener == ()
    assert settings.queue.retry[4] == timedelta(hours=1, minutes=20)
    assert settings.smtp.max_message_size == 50 * 1024 * 1024


def test_missing_keys_are_named_together() -> None:
    assert problems_of("workers = 2") == ["p.toml: data: is required", "p.toml: hostname: is required"]


def test_every_error_of_a_file_is_told_with_its_line() -> None:
    found = problems_of(
        HEAD
        + '[smtp]\nmax_recipient = 5\ntrusted_networks = ["10.0.0.0/8",\n  "10.0.0.1/8"]\nmax_message_size = "1X"\n'
        + '[[route]]\ndomain = "a.example"\nto = "mx"\n[[route]]\ndomain = "b.example"\nto = "nowhere"\n'
    )
    assert found[0].startswith("p.toml:4: smtp.max_recipient: unknown key (did you mean max_recipients?); allowed: ")
    assert found[1].startswith("p.toml:5: smtp.trusted_networks: 10.0.0.1/8 has host bits set")
    assert found[2].startswith("p.toml:7: smtp.max_message_size: '1X' is not a size such as \"512K\"")
    assert found[3].startswith("p.toml:13: route[2].to: 'nowhere' is not a next hop; allowed: mx, smtp://HOST:PORT")
    assert len(found) == 4


def test_an_unknown_table_is_an_error() -> None:
    assert problems_of(HEAD + "[smpt]\nmax_recipients = 5\n")[0].startswith(
        "p.toml:3: smpt: unknown key (did you mean smtp?)"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('workers = "2"', "workers: must be a whole number"),
        ("workers = true", "workers: must be a whole number"),
        ("workers = -1", "workers: -1 is out of bounds; allowed: 0 to 1024"),
        ('drain = "1 week"', "drain: '1 week' is not a time such as"),
        ("drain = 5", "drain: must be a time in quotes"),
        ('drain = ""', "drain: '' is not a time"),
        ('user = ""', "user: must not be empty"),
        ('postmaster = "nobody"', "postmaster: 'nobody': address has no domain"),
        ("smtp = 5", "smtp: must be a table: [smtp]"),
        ("[route]", "route: must be an array of tables: [[route]]"),
        ("[[smtp]]", "smtp: must be a table: [smtp]"),
        ('[outbound]\nipv6 = "yes"', "outbound.ipv6: must be true or false"),
        ("[queue]\nretry = []", "queue.retry: needs at least 1 entry"),
        ('[queue]\nretry = "5m"', "queue.retry: must be a list in square brackets"),
        ('[dns]\nservers = ["ns.example"]', "dns.servers: 'ns.example' is not an address with a port"),
        ('[log]\nlevel = "loud"', "log.level: 'loud' is not one of: debug | info | warning | error"),
        (
            '[smtp]\ntrusted_networks = ["::ffff:10.0.0.0/104"]',
            "smtp.trusted_networks: '::ffff:10.0.0.0/104': write IPv4",
        ),
    ],
)
def test_a_wrong_value_says_what_is_allowed(line: str, words: str) -> None:
    assert words in problems_of(HEAD + line)[0]


@pytest.mark.parametrize(
    "bind", ["25", "localhost:25", "[127.0.0.1]:25", "::1:25", "1.2.3.4:99999", "unix:x", "1.2.3.4"]
)
def test_a_bind_that_is_no_address_with_a_port_is_refused(bind: str) -> None:
    assert "listener[1].bind: " in problems_of(HEAD + f'[[listener]]\nservice = "smtp"\nbind = "{bind}"')[0]


def test_binds_of_each_form_are_read() -> None:
    binds = ["0.0.0.0:25", "[::]:25", "unix:/run/lmtp.sock"]
    text = "".join(f'[[listener]]\nservice = "lmtp"\nbind = "{bind.replace(":25", ":24")}"\n' for bind in binds)
    read = [listener.bind for listener in parse(HEAD + text).listener]
    assert read == [Bind("0.0.0.0", 24), Bind("::", 24), Bind(path="/run/lmtp.sock")]
    assert [str(bind) for bind in read] == ["0.0.0.0:24", "[::]:24", "unix:/run/lmtp.sock"]


def test_a_route_may_have_one_next_hop_or_a_list() -> None:
    settings = parse(
        HEAD
        + '[[route]]\ndomain = "a.example"\nto = "mx"\n'
        + '[[route]]\ndomain = ".B.example"\nto = ["smtp://10.0.0.5:25", "smtps://[2001:db8::1]"]\n'
        + '[[route]]\ndomain = "c.example"\nto = "maildir:/mail/{domain}/{local}"\naccept = "anyone"\n'
    )
    assert settings.route[0].to == (MxHop(),)
    assert settings.route[1].domain == ".b.example"
    assert settings.route[1].to == (HostHop("smtp", "10.0.0.5", 25), HostHop("smtps", "2001:db8::1", 465))
    assert settings.route[2].to == (MaildirHop("/mail/{domain}/{local}"),)
    assert [route.is_hosted for route in settings.route] == [False, False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[[route]]\ndomain = "*"\nto = "mx"\naccept = "anyone"',
            'p.toml:6: route[1].accept: "anyone" with domain "*"',
        ),
        ('[[route]]\ndomain = "a.example"\nto = "mx"\nusername = "u"', "username and password_file belong together"),
        ('[[route]]\ndomain = "a.example"\nto = "mx"\nusername = "u"\npassword_file = "p"', "AUTH needs a next hop"),
        ('[[route]]\ndomain = ".a.example"\nto = "mx"\naccept = "anyone"\nrecipients = ["x"]', "known recipients need"),
        ('[[route]]\ndomain = "a.example"\nto = "mx"\nrecipients = ["x"]', "known recipients need"),
        ('[[route]]\ndomain = "a.example"\nto = ["maildir:/m/{local}", "mx"]', "maildir: stands alone"),
        ('[[route]]\ndomain = "a.example"\nto = "mx"\n' * 2, "a.example is already routed by route 1"),
        ('[[listener]]\nservice = "smtp"\nbind = "[::]:25"\n' * 2, "[::]:25 is already used by listener 1"),
        ('[[listener]]\nservice = "lmtp"\nbind = "[::]:25"', "LMTP must not be spoken on port 25"),
        ('[[listener]]\nservice = "http"\nbind = "[::]:80"\ntls = "starttls"', "http has no STARTTLS"),
        ('[[listener]]\nservice = "lmtp"\nbind = "[::]:24"\nxclient = ["::1"]', "only smtp listeners take XCLIENT"),
        ('[tls]\ncertificate = "c"', "certificate and key belong together"),
        ('[outbound]\nsource = ["192.0.2.1", "192.0.2.2"]', "at most one IPv4 and one IPv6"),
        ("[outbound]\nfirst_connections = 30", "must not be above connections_per_site"),
        ("[smtp]\nsoft_errors = 30", "must not be above max_errors"),
        ("[queue]\nslow_above = 2_000_000", "must not be above refuse_above"),
        ('[imap]\noutbox = "Sent"', "a mailbox that mail is kept in"),
        ('[imap]\noutbox = "a/b%"', "the name of one mailbox"),
        ('[imap]\nhide = ["imap4rev1"]', "cannot be hidden"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text: str, words: str) -> None:
    assert words in "\n".join(problems_of(HEAD + text))


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "posthouse.toml"
    file.write_text('hostname = "h.example"\ndata = "data"\n[tls]\ncertificate = "c.pem"\nkey = "/k.pem"\n')
    settings = load(str(file))
    assert settings.data == str(tmp_path / "data")
    assert (settings.tls.certificate, settings.tls.key) == (str(tmp_path / "c.pem"), "/k.pem")


def test_a_syntax_error_names_its_line() -> None:
    assert problems_of('hostname = "h.example"\ndata = \n')[0].startswith("p.toml:2: not valid TOML: Invalid value")


def test_a_file_that_is_missing_or_no_text_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(str(tmp_path / "none.toml"))
    (tmp_path / "b.toml").write_bytes(b'hostname = "\xff"')
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(octet 12\)"):
        load(str(tmp_path / "b.toml"))


def test_the_file_is_looked_for_in_the_promised_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file("given.toml", {"POSTHOUSE_CONFIG": "env.toml"}) == "given.toml"
    assert find_file(None, {"POSTHOUSE_CONFIG": "env.toml"}) == "env.toml"
    (tmp_path / "posthouse.toml").write_text(HEAD)
    assert find_file(None, {}) == "posthouse.toml"


def test_the_sockets_are_in_run_unless_told_otherwise() -> None:
    assert parse(HEAD).runtime_directory(is_root=False) == "/var/lib/posthouse/run"
    assert parse(HEAD).runtime_directory(is_root=True) == "/run/posthouse"
    assert parse(HEAD + 'runtime = "/r"').runtime_directory(is_root=True) == "/r"


def test_lines_are_found_behind_multi_line_values_and_dotted_keys() -> None:
    text = (
        HEAD
        + 'user = """\n[smtp]\nworkers = 9\n"""\nlog.level = "x"\n'
        + '[queue]\nretry = [ # ]\n  "5m", "]",\n]\nwarn_after = 3\n'
    )
    assert [problem.split(" ")[0:2] for problem in problems_of(text)] == [
        ["p.toml:3:", "user:"],
        ["p.toml:7:", "log.level:"],
        ["p.toml:9:", "queue.retry:"],
        ["p.toml:12:", "queue.warn_after:"],
    ]


@given(st.integers(0, 1 << 45))
def test_sizes_are_read_back_as_written(octets: int) -> None:
    assert parse_size(format_size(octets)) == octets


@given(st.integers(0, 10_000_000_000))
def test_times_are_read_back_as_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration
