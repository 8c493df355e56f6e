"""sendmail: options, what becomes of the message, and exit codes."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from posthouse.app.cli import main
from posthouse.app.sendmail import (
    Options,
    SendmailError,
    complete_header,
    list_recipients,
    make_pieces,
    parse_options,
    read_lines,
    split_header,
)
from posthouse.app.sendmail_smtp import Dialogue
from posthouse.app.submit_protocol import (
    SubmitDone,
    SubmitEnvelope,
    SubmitError,
    SubmitFrame,
    SubmitVerdict,
    decode_submit,
    encode_submit,
    exit_code_of,
)

MESSAGE = b"From: a@a.example\nTo: b@b.example\nBcc: c@c.example\n\nhello\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("a@b", Options(recipients=["a@b"])),
        ("-f x@y a@b", Options(sender="x@y", recipients=["a@b"])),
        ("-fx@y a@b", Options(sender="x@y", recipients=["a@b"])),
        ("-r <> a@b", Options(sender="", recipients=["a@b"])),
        ("-t -oi", Options(from_header=True, dots_are_text=True)),
        ("-i -oem -om", Options(dots_are_text=True)),
        ("-oi -oem -- -a@b", Options(dots_are_text=True, recipients=["-a@b"])),
        ("-bm -F name", Options(name="name")),
        ("-bp", Options(mode="p")),
        (
            "-N success,delay -R hdrs -V id1 a@b",
            Options(notify="SUCCESS,DELAY", ret="HDRS", envid="id1", recipients=["a@b"]),
        ),
        ("-O DeliveryMode=b -B8BITMIME -v -q30m -d0.1 -L tag -h 5 -em -Am a@b", Options(recipients=["a@b"])),
    ],
)
def test_the_usual_options_are_understood(words: str, expected: Options) -> None:
    assert parse_options(words.split()) == expected


@pytest.mark.parametrize("words", ["-f", "-Z", "-F"])
def test_an_option_that_makes_no_sense_is_a_usage_error(words: str) -> None:
    with pytest.raises(SendmailError) as caught:
        parse_options(words.split())
    assert caught.value.code == 64


def test_lines_become_crlf_and_a_bare_cr_never_reaches_the_wire() -> None:
    text = b"a\nb\r\nc\rd\ne\r\r\nlast"
    assert b"".join(read_lines(io.BytesIO(text), False)) == b"a\r\nb\r\nc\r\nd\r\ne\r\nlast\r\n"


def test_a_single_dot_ends_the_message_unless_told_otherwise() -> None:
    assert b"".join(read_lines(io.BytesIO(b"a\n.\nb\n"), False)) == b"a\r\n"
    assert b"".join(read_lines(io.BytesIO(b"a\n.\nb\n"), True)) == b"a\r\n.\r\nb\r\n"


def read_header(text: bytes) -> tuple[list[bytes], bytes]:
    fields, first = split_header(read_lines(io.BytesIO(text), True))
    return [field.raw for field in fields], first


def test_a_header_is_split_into_fields_with_their_continuations() -> None:
    assert read_header(b"To: a,\n b\nX: y\n\nbody: no\n") == ([b"To: a,\r\n b\r\n", b"X: y\r\n"], b"")


def test_a_message_without_a_header_is_all_body() -> None:
    assert read_header(b"hello world: well\nmore\n") == ([], b"hello world: well\r\n")


def test_an_mbox_separator_is_dropped() -> None:
    assert read_header(b"From joe Mon Jan  1\nTo: a\n\n") == ([b"To: a\r\n"], b"")


def test_recipients_of_the_header_are_found_and_bcc_is_removed() -> None:
    text = b'To: "A, B" <a@a.example>, b@b.example\nCC: c@c.example\nbcc: d@d.example\nBcc: e@e.example\n\n'
    fields, _ = split_header(read_lines(io.BytesIO(text), True))
    assert list_recipients(fields) == ["a@a.example", "b@b.example", "c@c.example", "d@d.example", "e@e.example"]
    head = complete_header(fields, "x@y.example", "X", "h.example")
    assert b"bcc" not in head.lower()
    assert b"From: X <x@y.example>\r\n" in head
    assert b"\r\nDate: " in head
    assert b"\r\nMessage-ID: <" in head
    assert head.endswith(b"\r\n\r\n")


def test_a_complete_header_is_left_as_it_is() -> None:
    text = b"From: a\r\nDate: d\r\nMessage-Id: <m>\r\n"
    fields, _ = split_header(read_lines(io.BytesIO(text + b"\r\n"), True))
    assert complete_header(fields, "s", "", "h") == text + b"\r\n"


def test_a_header_without_end_is_refused() -> None:
    with pytest.raises(SendmailError) as caught:
        split_header(b"X: %s\r\n" % (b"y" * 10_000) for _ in range(10_000))
    assert caught.value.code == 65


def test_a_message_goes_in_bounded_pieces() -> None:
    pieces = list(make_pieces(b"h" * 10, (b"x" * 50_000 for _ in range(10))))
    assert max(map(len, pieces)) <= 64 << 10
    assert b"".join(pieces) == b"h" * 10 + b"x" * 500_000


@pytest.mark.parametrize(
    ("code", "enhanced", "expected"),
    [(250, "2.0.0", 0), (451, "4.3.0", 75), (550, "5.1.1", 67), (550, "5.7.1", 77), (552, "5.3.4", 69), (554, "", 69)],
)
def test_replies_have_their_exit_codes(code: int, enhanced: str, expected: int) -> None:
    assert exit_code_of(code, enhanced) == expected


class FakeSubmit:
    """Takes one message on submit.sock and gives `answer`."""

    def __init__(self, path: Path, *answers: SubmitFrame, reads: bool = True) -> None:
        self.envelope: SubmitEnvelope | None = None
        self.body = b""
        self._answers = answers
        self._reads = reads
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        """One client for each answer."""
        for answer in self._answers:
            connection, _ = self._socket.accept()
            with connection, connection.makefile("rb") as stream:
                while self._reads:
                    frame = decode_submit(stream.read(int.from_bytes(stream.read(4), "big")))
                    self.envelope = frame.submit or self.envelope
                    self.body += frame.body
                    if frame.end or frame.verify:
                        break
                connection.sendall(encode_submit(answer))

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


Sendmail = Callable[..., Result]


@pytest.fixture(name="sendmail")
def make_sendmail(tmp_path: Path) -> Sendmail:
    (tmp_path / "p.toml").write_text('hostname = "mail.example.org"\ndata = "data"\nruntime = "."\n')

    def run(*arguments: str, text: bytes = MESSAGE) -> Result:
        return CliRunner().invoke(main, ["-c", str(tmp_path / "p.toml"), "sendmail", *arguments], input=text)

    return run


@pytest.fixture(name="server")
def make_server(tmp_path: Path) -> Iterator[FakeSubmit]:
    server = FakeSubmit(tmp_path / "submit.sock", SubmitFrame(done=SubmitDone("001K0ZR7R822Z")))
    yield server
    server.close()


def test_a_message_is_handed_to_the_server(sendmail: Sendmail, server: FakeSubmit) -> None:
    result = sendmail("-t", "-f", "me@a.example", "-N", "never", "root")
    assert (result.exit_code, result.output) == (0, "")
    assert server.envelope == SubmitEnvelope(
        "me@a.example", ["root@mail.example.org", "b@b.example", "c@c.example"], notify="NEVER"
    )
    assert server.body.startswith(b"From: a@a.example\r\nTo: b@b.example\r\nDate: ")
    assert server.body.endswith(b"\r\n\r\nhello\r\n")


def test_the_empty_sender_stays_empty(sendmail: Sendmail, server: FakeSubmit) -> None:
    assert sendmail("-f", "<>", "b@b.example").exit_code == 0
    assert server.envelope == SubmitEnvelope("", ["b@b.example"])


@pytest.mark.parametrize("reads", [True, False])
def test_a_refusal_is_told_with_its_exit_code_even_when_it_comes_early(
    sendmail: Sendmail, tmp_path: Path, reads: bool
) -> None:
    refusal = SubmitFrame(error=SubmitError(550, "5.1.1 There is no such mailbox here", 67))
    server = FakeSubmit(tmp_path / "submit.sock", refusal, reads=reads)
    result = sendmail("nobody@mail.example.org", text=MESSAGE)
    server.close()
    assert (result.exit_code, result.output) == (67, "sendmail: 550 5.1.1 There is no such mailbox here\n")


def test_without_a_server_it_is_a_temporary_failure(sendmail: Sendmail) -> None:
    result = sendmail("b@b.example")
    assert result.exit_code == 75
    assert "no server answers" in result.output


def test_without_recipients_it_is_a_usage_error(sendmail: Sendmail) -> None:
    assert sendmail("-t", text=b"Subject: x\n\nhello\n").exit_code == 64
    assert sendmail("-bd").exit_code == 64
    assert sendmail("-bv").exit_code == 64


def test_addresses_are_verified_without_a_message(sendmail: Sendmail, tmp_path: Path) -> None:
    verdicts = [SubmitVerdict("b@b.example", 250, "2.1.5 Ok"), SubmitVerdict("no@b.example", 550, "5.1.1 No such")]
    server = FakeSubmit(tmp_path / "submit.sock", SubmitFrame(verdicts=verdicts))
    result = sendmail("-bv", "b@b.example", "no@b.example")
    server.close()
    assert result.exit_code == 67
    assert result.output == "b@b.example... deliverable\nno@b.example... not deliverable: 550 5.1.1 No such\n"


@pytest.mark.parametrize(("option", "exit_code"), [("-q", 0), ("-qRb.example", 0), ("-qI001K0ZR7R822Z", 0)])
def test_the_queue_is_flushed(sendmail: Sendmail, tmp_path: Path, option: str, exit_code: int) -> None:
    (tmp_path / "data" / "spool").mkdir(parents=True)
    assert sendmail(option).exit_code == exit_code


def test_without_a_data_directory_there_is_nothing_to_flush(sendmail: Sendmail) -> None:
    assert sendmail("-q").exit_code == 75


def test_smtp_on_standard_input_hands_over_what_it_answers_250_for(tmp_path: Path) -> None:
    answers = [
        SubmitFrame(verdicts=[SubmitVerdict("b@b.example", 250, "2.1.5 Ok")]),
        SubmitFrame(verdicts=[SubmitVerdict("no@b.example", 550, "5.1.1 No such mailbox")]),
        SubmitFrame(done=SubmitDone("001K0ZR7R822Z")),
    ]
    server = FakeSubmit(tmp_path / "submit.sock", *answers)
    dialogue = Dialogue([str(tmp_path)], "mail.example.org", 1 << 20)
    commands = (
        b"EHLO me\r\nMAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nRCPT TO:<no@b.example>\r\nDATA\r\n"
        b"Subject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"
    )
    output = b"".join(dialogue.receive(commands[at : at + 7]) for at in range(0, len(commands), 7))
    server.close()
    assert [line[:3] for line in output.splitlines() if line[3:4] == b" "] == [
        b"220", b"250", b"250", b"250", b"550", b"354", b"250", b"221",
    ]  # fmt: skip
    assert b"queued as 001K0ZR7R822Z" in output
    assert server.envelope == SubmitEnvelope("a@a.example", ["b@b.example"])
    assert server.body == b"Subject: x\r\n\r\n.dot\r\n"
    assert dialogue.is_over


def test_smtp_on_standard_input_without_a_server_is_451(tmp_path: Path) -> None:
    dialogue = Dialogue([str(tmp_path)], "mail.example.org", 1 << 20)
    output = dialogue.receive(b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n")
    assert [line[:3] for line in output.splitlines()][-2:] == [b"451", b"503"] or output.count(b"451 ") == 1


def test_a_broken_configuration_is_not_passed_over(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["-c", str(tmp_path / "none.toml"), "sendmail", "a@b.example"], input=MESSAGE)
    assert result.exit_code == 78
    assert "none.toml: cannot be read" in result.output
