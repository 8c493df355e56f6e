"""The MIME scanner: beside the standard library, on hand-made messages, and on hostile ones."""

from __future__ import annotations

import email
import time
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.mime import Limits, Part, scan_structure
from tests.message.mime_trees import POLICY, shape_of_message, shape_of_part, trees

CORPUS = Path(__file__).parent.parent / "corpora"
MIXED = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'


def scan(data: bytes) -> Part:
    return scan_structure(data).root


@given(trees)
def test_the_same_tree_as_the_standard_library_wrote(message: Message) -> None:
    data = message.as_bytes(policy=POLICY)
    assert shape_of_part(scan(data)) == shape_of_message(email.message_from_bytes(data))


@given(trees)
def test_the_octets_of_every_part_are_where_the_offsets_say(message: Message) -> None:
    data = message.as_bytes(policy=POLICY)
    ours = [part for part in scan(data).walk() if not part.children]
    theirs = [part for part in email.message_from_bytes(data).walk() if not part.is_multipart()]
    for part, other in zip(ours, theirs, strict=True):
        assert data[part.body : part.end].decode("utf-8", "surrogateescape") == other.get_payload()


FRAGMENTS = [
    b"--b\r\n", b"--b--\r\n", b"--c\r\n", b"--c--\r\n", b"--bx\r\n", b"--b  \r\n", b"\r\n", b"text\r\n", b"\r", b"\n",
    b"--b",
    MIXED, b"Content-Type: multipart/mixed; boundary=c\r\n\r\n", b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: multipart/digest; boundary=b\r\n", b"Content-Transfer-Encoding: base64\r\n", b"\x00", b"\xff",
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join))
def test_whatever_comes_parts_lie_within_each_other_and_in_order(data: bytes) -> None:
    check_offsets(scan(data), len(data))


def test_an_empty_part_between_two_delimiters_lies_within_its_parent() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=c\r\n\r\n"
        b"--c\r\nContent-Type: multipart/digest; boundary=b\r\n--b\r\n--c\r\n"
    )
    check_offsets(scan(data), len(data))


@given(st.binary(max_size=200))
def test_random_octets_never_raise(data: bytes) -> None:
    check_offsets(scan(MIXED + data), len(MIXED) + len(data))


def check_offsets(root: Part, size: int) -> None:
    assert (root.start, root.end) == (0, size)
    for part in root.walk():
        assert part.start <= part.fields_end <= part.body <= part.end <= size
        position = part.body
        for child in part.children:
            assert child.start >= position
            assert child.end <= part.end
            position = child.end


def test_a_delimiter_may_follow_the_header_at_once() -> None:
    (child,) = scan(MIXED + b"--b\r\n\r\nx\r\n--b--\r\n").children
    assert child.content_type.full == "text/plain"


def test_a_delimiter_needs_a_line_of_its_own() -> None:
    data = MIXED + b"--b\r\n\r\nx --b\r\n--bb\r\n --b\r\ny\r\n--b--\r\n"
    (child,) = scan(data).children
    assert data[child.body : child.end] == b"x --b\r\n--bb\r\n --b\r\ny"


def test_white_space_behind_a_delimiter_does_not_matter() -> None:
    assert len(scan(MIXED + b"--b \t\r\n\r\nx\r\n--b\t\r\n\r\ny\r\n--b--  \r\n").children) == 2


def test_a_multipart_that_is_never_closed_ends_with_its_parent() -> None:
    data = (
        MIXED
        + b"--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n"
    )
    root = scan(data)
    inner, last = root.children
    assert data[inner.children[0].body : inner.children[0].end] == b"x"
    assert data[last.body : last.end] == b"y"


def test_a_boundary_that_begins_like_another() -> None:
    data = (
        b"Content-Type: multipart/mixed; boundary=bc\r\n\r\n--bc\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\n\r\nx\r\n--b--\r\n--bc\r\n\r\ny\r\n--bc--\r\n"
    )
    assert [len(child.children) for child in scan(data).children] == [1, 0]


def test_preamble_and_epilogue_are_no_parts() -> None:
    data = MIXED + b"preamble\r\n--b\r\n\r\nx\r\n--b--\r\nepilogue\r\n--b\r\n\r\nno part\r\n"
    assert len(scan(data).children) == 1


def test_parts_of_a_digest_are_messages() -> None:
    data = b"Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: x\r\n\r\ny\r\n--b--\r\n"
    (child,) = scan(data).children
    assert child.content_type.full == "message/rfc822"
    assert data[child.children[0].start :].startswith(b"Subject: x")


def test_a_message_that_is_encoded_is_a_leaf() -> None:
    data = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQo=\r\n"
    assert scan(data).children == []


def test_a_header_ends_at_the_first_line_that_is_no_field() -> None:
    data = b"Subject: x\r\nthis is text\r\nContent-Type: text/html\r\n\r\n"
    root = scan(data)
    assert data[root.body :].startswith(b"this is text")
    assert root.content_type.full == "text/plain"


def test_of_two_content_types_the_first_counts() -> None:
    assert scan(b"Content-Type: text/html\r\nContent-Type: text/plain\r\n\r\n").content_type.sub == "html"


def test_a_field_that_only_begins_like_content_type() -> None:
    assert scan(b"Content-Type-X: text/html\r\nContent-Type: text/csv\r\n\r\n").content_type.sub == "csv"


HOSTILE = {
    "a million fields": b"X: y\r\n" * 1_000_000 + b"\r\n",
    "a million folded lines": b"X: y\r\n" + b" z\r\n" * 1_000_000 + b"\r\n",
    "a hundred thousand parts": MIXED + b"--b\r\n\r\nx\r\n" * 100_000,
    "delimiters without end": MIXED + b"--b\r\n" * 500_000,
    "lines that look like delimiters": MIXED + b"--bx\r\n" * 500_000,
    "twenty thousand multiparts in each other": b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(20_000)
    ),
    "twenty thousand messages in each other": b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    "multiparts without parts before much text": MIXED
    + b"".join(b'--b\r\nContent-Type: multipart/mixed; boundary="c%d"\r\n\r\n\r\n' % n for n in range(9000))
    + b"x" * 10_000_000,
    "parentheses without end": b"Content-Type: text/plain " + b"(" * 1_000_000 + b"\r\n\r\n",
    "quotes without end": b'Content-Type: text/plain; a="' + b'\\"' * 1_000_000 + b"\r\n\r\n",
    "parameters without end": b"Content-Type: text/plain"
    + b"".join(b"; a*%d=x" % n for n in range(100_000))
    + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_bounded_time_for(name: str) -> None:
    data = HOSTILE[name]
    started = time.perf_counter()
    structure = scan_structure(data)
    assert time.perf_counter() - started < 5
    assert structure.count <= Limits().parts
    assert max(part.depth for part in structure.root.walk()) <= Limits().depth + 1


def test_a_limit_that_was_reached_is_told() -> None:
    parts = MIXED + b"--b\r\n\r\nx\r\n" * 5
    assert scan_structure(parts, Limits(parts=3)).is_truncated
    assert not scan_structure(parts, Limits(parts=10)).is_truncated
    nested = b"Content-Type: message/rfc822\r\n\r\n" * 5
    assert scan_structure(nested, Limits(depth=3)).is_truncated
    assert scan_structure(MIXED + b"--bx\r\n" * 5, Limits(false_delimiters=3)).is_truncated


def test_the_corpus_is_read_as_its_authors_meant_it() -> None:
    shapes = {path.stem: shape_of_part(scan(path.read_bytes())) for path in CORPUS.glob("*.eml")}
    text = ("text/plain", ())
    page = ("text/html", ())
    assert shapes == {
        "alternative": ("multipart/mixed", (("multipart/alternative", (text, page)), ("application/pdf", ()))),
        "bounce": (
            "multipart/report",
            (text, ("message/delivery-status", ()), ("message/rfc822", (("multipart/mixed", (text, text)),))),
        ),
        "latin1_without_mime": text,
        "signed": ("multipart/signed", (text, ("application/pgp-signature", ()))),
        "unclosed": ("multipart/mixed", (("multipart/related", (page, ("image/png", ()))), text)),
    }
