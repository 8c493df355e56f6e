"""Re-encoding: what comes out says the same, and only with octets the hop can carry."""

from __future__ import annotations

import email
import time
from email.message import Message
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.encodings import encode_base64, encode_quoted_printable, is_line_text
from posthouse.message.outcome import Refused
from posthouse.message.reencode import needs_reencoding, plan_reencoding, reencode
from tests.message.mime_trees import POLICY, leaves_of, shape_of_message, trees

SEVEN = HopCapabilities(eightbitmime=False, binarymime=False, smtputf8=False)
EIGHT = HopCapabilities(eightbitmime=True, binarymime=False, smtputf8=False)
BINARY = HopCapabilities(eightbitmime=True, binarymime=True, smtputf8=False)
CORPUS = Path(__file__).parent.parent / "corpora"


def convert(data: bytes, hop: HopCapabilities = SEVEN) -> bytes:
    result = reencode(data, hop)
    assert isinstance(result, bytes)
    return result


def as_8bit(message: Message) -> Message:
    """Take the encodings off text parts and label what is left."""
    for part in message.walk():
        if part.get_content_maintype() == "text" and not part.is_multipart():
            octets = part.get_payload(decode=True)
            assert isinstance(octets, bytes)
            part.set_payload(octets.replace(b"\r\n", b"\n").decode("ascii", "surrogateescape"))
            if "Content-Transfer-Encoding" in part:
                part.replace_header("Content-Transfer-Encoding", "8bit")
            else:
                part["Content-Transfer-Encoding"] = "8bit"
    return message


@given(trees.map(as_8bit))
def test_the_standard_library_reads_the_same_before_and_after(message: Message) -> None:
    data = message.as_bytes(policy=POLICY)
    result = convert(data)
    assert result.isascii()
    before, after = email.message_from_bytes(data), email.message_from_bytes(result)
    assert shape_of_message(before) == shape_of_message(after)
    assert leaves_of(before) == leaves_of(after)
    assert convert(result) == result


def test_text_becomes_quoted_printable() -> None:
    data = (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"Subject: x\r\n\r\nGr\xc3\xbc\xc3\x9fe =\r\n"
    )
    assert convert(data) == (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\nSubject: x\r\n\r\nGr=C3=BC=C3=9Fe =3D\r\n"
    )


def test_a_message_without_mime_fields_is_declared_unknown_8bit() -> None:
    result = convert((CORPUS / "latin1_without_mime.eml").read_bytes())
    message = email.message_from_bytes(result)
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_charset() == "unknown-8bit"
    assert message["Content-Transfer-Encoding"] == "quoted-printable"
    assert message.get_payload(decode=True) == b"Sch\xf6ne Gr\xfc\xdfe\r\n"


@pytest.mark.parametrize("data", [b"\xe4\r\n", b"\r\n\xe4\r\n", b"A: b\r\n\xe4\r\n", b"A: b\r\n\r\n\xe4"])
def test_a_missing_header_or_blank_line_is_mended(data: bytes) -> None:
    message = email.message_from_bytes(convert(data))
    assert not message.defects
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.strip() == b"\xe4"


def test_containers_no_longer_claim_8bit() -> None:
    data = (
        b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b"Subject: x\r\n\r\n\xe4\r\n--b--\r\n"
    )
    message = email.message_from_bytes(convert(data))
    encodings = [part["Content-Transfer-Encoding"] for part in message.walk()]
    assert encodings == ["7bit", "7bit", "quoted-printable"]


def test_of_several_encoding_fields_one_is_left() -> None:
    data = b"Content-Transfer-Encoding: 8bit\r\nA: b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\xe4\r\n"
    assert email.message_from_bytes(convert(data)).get_all("Content-Transfer-Encoding") == ["quoted-printable"]


def test_parts_that_are_ascii_stay_octet_for_octet() -> None:
    result = convert((CORPUS / "alternative.eml").read_bytes())
    assert b"JVBERi0xLjQKJcOkw7zDtsOfCg==" in result
    assert b"<p>Gr=C3=BC=C3=9Fe aus K=C3=B6ln</p>" in result
    assert b"\r\nGr=C3=BC=C3=9Fe aus K=C3=B6ln\r\n" in result


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/signed; protocol=x; boundary=s",
        "multipart/encrypted; protocol=x; boundary=s",
        "application/pkcs7-mime",
        "message/partial; id=x",
    ],
)
def test_signed_and_encrypted_parts_are_never_touched(kind: str) -> None:
    head = f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n".encode()
    body = b"--s\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n--s--\r\n"
    refused = reencode(head + body, SEVEN)
    assert isinstance(refused, Refused)
    assert (refused.reply.code, refused.reply.enhanced) == (554, "5.6.3")
    plain = head + body.replace(b"\xe4", b"a")
    assert reencode(plain, SEVEN) == plain


def test_a_signed_part_that_is_ascii_passes_beside_one_that_is_converted() -> None:
    signed = b"--b\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nx \r\n--s--\r\n\r\n"
    data = (
        b"Content-Type: multipart/mixed; boundary=b\r\nMIME-Version: 1.0\r\n\r\n"
        + signed
        + b"--b\r\n\r\n\xe4\r\n--b--\r\n"
    )
    assert signed in convert(data)


def test_8bit_octets_in_a_header_pass() -> None:
    data = b"Subject: \xe4\r\n\r\nabc\r\n"
    assert needs_reencoding(data, SEVEN)
    assert convert(data) == data


def test_an_attached_message_with_utf8_in_its_header_becomes_base64_as_a_whole() -> None:
    inner = b"Subject: \xc3\xa4\r\n\r\n\xc3\xa4\r\n"
    data = b"MIME-Version: 1.0\r\nContent-Type: message/global\r\n\r\n" + inner
    result = convert(data)
    assert result.isascii()
    assert b"Content-Transfer-Encoding: base64" in result
    assert encode_base64(inner) in result


BINARY_MESSAGE = (
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    b"Gr\xc3\xbc\xc3\x9fe\r\n"
    b"--b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x89PNG\n\r\x00\r\n.\r\n\r\n--b--\r\n"
)


def test_binary_parts_become_base64_and_text_keeps_its_8_bits_where_it_may() -> None:
    message = email.message_from_bytes(convert(BINARY_MESSAGE, EIGHT))
    assert [part["Content-Transfer-Encoding"] for part in message.walk()] == ["8bit", "8bit", "base64"]
    assert leaves_of(message)[1] == ("image/png", b"\x89PNG\n\r\x00\r\n.\r\n")


def test_binary_parts_for_a_seven_bit_hop() -> None:
    message = email.message_from_bytes(convert(BINARY_MESSAGE, SEVEN))
    assert [part["Content-Transfer-Encoding"] for part in message.walk()] == ["7bit", "quoted-printable", "base64"]


def test_a_hop_with_binarymime_gets_it_as_it_is() -> None:
    assert reencode(BINARY_MESSAGE, BINARY) is BINARY_MESSAGE
    assert not needs_reencoding(BINARY_MESSAGE, BINARY)


@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\x00", b"\n.\n", b"\r\n.\r", b"\n.\r\n"])
def test_bare_line_ends_never_leave(bad: bytes) -> None:
    text = (
        b"MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\na" + bad + b"b\r\n"
    )
    for hop in (SEVEN, EIGHT):
        result = convert(text, hop)
        assert b"base64" in result
        assert email.message_from_bytes(result).get_payload(decode=True) == b"a" + bad + b"b\r\n"
    for broken in (
        b"A: b" + bad + b"c\r\n\r\nx\r\n",
        b"Content-Transfer-Encoding: base64\r\n\r\nQUJD" + bad + b"RA==\r\n",
    ):
        refused = reencode(broken, EIGHT)
        if isinstance(refused, Refused):
            assert refused.reply.enhanced == "5.6.3"
        else:
            assert bad not in refused


def test_long_lines_of_a_binary_part_are_broken() -> None:
    data = b"Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n" + b"a" * 5000 + b"\r\n"
    result = convert(data, EIGHT)
    assert max(map(len, result.split(b"\r\n"))) <= 998
    assert email.message_from_bytes(result).get_payload(decode=True) == b"a" * 5000 + b"\r\n"


def test_a_soft_line_break_makes_no_delimiter() -> None:
    """Wherever the long line is broken, the parts stay what they were."""
    for pad in range(60, 90):
        text = b"a" * pad + b"--b" + b"\xe4"
        data = (
            b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
            + text
            + b"\r\n--b--\r\n"
        )
        message = email.message_from_bytes(convert(data))
        assert [octets for _, octets in leaves_of(message)] == [text]


def test_a_message_too_complex_to_be_understood_is_refused() -> None:
    data = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\xe4\r\n" * 10_001
    refused = reencode(data, SEVEN)
    assert isinstance(refused, Refused)
    assert refused.reply.enhanced == "5.6.3"


@pytest.mark.parametrize("size", [0, 10, 2_097_140, 5_000_000])
def test_bare_line_ends_and_nuls_are_seen_wherever_they_are(size: int) -> None:
    text = b"line\r\n" * (size // 6)
    for good in (text, b"a" * (2_097_151 - len(text)) + b"\r\n", text + b"x"):
        assert is_line_text(good)
    for bad in (b"\r", b"\n", b"\x00", b"\n\r", b"\r\r\n", b"\r\n\n"):
        assert not is_line_text(text + bad)
        assert not is_line_text(text + bad + text)
        assert not is_line_text(bad + text)


@given(st.binary(max_size=300))
def test_quoted_printable_is_undone_by_the_standard_library(octets: bytes) -> None:
    text = octets.replace(b"\r", b"").replace(b"\n", b"\r\n")
    encoded = encode_quoted_printable(text)
    assert max(map(len, encoded.split(b"\r\n"))) <= 76
    message = email.message_from_bytes(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded)
    assert message.get_payload(decode=True) == text


@given(st.binary(max_size=300))
def test_base64_is_undone_by_the_standard_library(octets: bytes) -> None:
    message = email.message_from_bytes(b"Content-Transfer-Encoding: base64\r\n\r\n" + encode_base64(octets))
    assert message.get_payload(decode=True) == octets


def test_large_bodies_are_encoded_in_pieces_without_a_seam() -> None:
    line = b"Gr\xc3\xbc\xc3\x9fe aus K\xc3\xb6ln und Umgebung \r\n"
    for text in (line * 40_000, b"\xc3\xa4" * 400_000, b"a" * 262_143 + b"\r\n" + b"b" * 300_000):
        for encode, name in ((encode_quoted_printable, b"quoted-printable"), (encode_base64, b"base64")):
            message = email.message_from_bytes(b"Content-Transfer-Encoding: " + name + b"\r\n\r\n" + encode(text))
            assert message.get_payload(decode=True) == text


def test_work_grows_with_the_message_only() -> None:
    parts = b"--b\r\nContent-Type: text/plain\r\n\r\n" + b"\xe4" * 1000 + b"\r\n"
    data = b"Content-Type: multipart/mixed; boundary=b\r\nMIME-Version: 1.0\r\n\r\n" + parts * 5000
    started = time.perf_counter()
    assert convert(data).isascii()
    assert time.perf_counter() - started < 5


FRAGMENTS = [
    b"--b\r\n",
    b"--b--\r\n",
    b"\xe4",
    b"\r\n",
    b"\n",
    b"Content-Transfer-Encoding: 8bit\r\n",
    b"Content-Type: text/plain\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: message/rfc822\r\n",
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join))
def test_whatever_comes_nothing_raises_and_nothing_bare_goes_out(data: bytes) -> None:
    for hop in (SEVEN, EIGHT):
        result = reencode(data, hop)
        if isinstance(result, bytes):
            assert b"\n" not in result.replace(b"\r\n", b"")
            edits = plan_reencoding(data, hop)
            assert isinstance(edits, list)
            assert all(one.end <= other.start for one, other in pairwise(edits))
