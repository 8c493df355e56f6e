"""How to leave a list (RFC 2369, RFC 8058), tickets of pictures, and what is a picture."""

from __future__ import annotations

import pytest

from posthouse.mua.raster import is_pdf, sniff_raster
from posthouse.mua.tickets import Signer, derive_key, is_good, sign
from posthouse.mua.unsubscribe import Unsubscribe, read_unsubscribe

POST = "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("field", "post", "found"),
    [
        ("<mailto:a@b.example?subject=x>", None, Unsubscribe(mail="mailto:a@b.example?subject=x")),
        ("<https://b.example/u>", None, Unsubscribe(page="https://b.example/u")),
        ("<https://b.example/u>", POST, Unsubscribe("https://b.example/u", "https://b.example/u")),
        ("<http://b.example/u>", POST, Unsubscribe(page="http://b.example/u")),
        (
            "<http://b.example/u>, <https://b.example/v>",
            POST,
            Unsubscribe("https://b.example/v", "https://b.example/v"),
        ),
        (
            "(a comment) <mailto:a@b.example>,\t<https://b.example/u>",
            " list-unsubscribe = one-click ",
            Unsubscribe("https://b.example/u", "https://b.example/u", "mailto:a@b.example"),
        ),
        ("https://b.example/u", None, Unsubscribe(page="https://b.example/u")),
        ("<javascript:alert(1)>, <file:///etc/passwd>", POST, None),
        ('<https://b.example/"onclick=x>', None, None),
        ("NO", POST, None),
        ("", POST, None),
        (None, None, None),
    ],
)
def test_a_list_says_how_it_is_left(field: str | None, post: str | None, found: Unsubscribe | None) -> None:
    assert read_unsubscribe(field, post) == found


def test_a_ticket_is_for_one_thing_of_one_account_until_its_time() -> None:
    key = derive_key(b"secret")
    url = Signer.until(key, "A1", 1_000_000.0).proxy("https://a.example/x")
    query = dict(pair.split("=", 1) for pair in url.partition("?")[2].split("&"))
    assert is_good(key, "image", "A1", "https://a.example/x", query, 1_000_000.0)
    assert not is_good(key, "preview", "A1", "https://a.example/x", query, 1_000_000.0)
    assert not is_good(key, "image", "A2", "https://a.example/x", query, 1_000_000.0)
    assert not is_good(key, "image", "A1", "https://a.example/y", query, 1_000_000.0)
    assert not is_good(key, "image", "A1", "https://a.example/x", query, float(query["expires"]))
    assert not is_good(derive_key(b"other"), "image", "A1", "https://a.example/x", query, 1_000_000.0)
    assert not is_good(key, "image", "A1", "https://a.example/x", {}, 1_000_000.0)


def test_parts_of_what_is_signed_cannot_move() -> None:
    assert sign(b"k", "ab", "c") != sign(b"k", "a", "bc")


def test_the_same_picture_keeps_its_url_for_a_while() -> None:
    first, later = (Signer.until(b"k", "A1", now).proxy("https://a.example/x") for now in (1_000_000.0, 1_000_060.0))
    assert first == later


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x1cftypavif", "image/avif"),
        (b"<svg xmlns=", ""),
        (b"<?xml version", ""),
        (b"<html>", ""),
        (b"%PDF-1.7", ""),
        (b"", ""),
    ],
)
def test_a_picture_is_known_by_its_first_octets(octets: bytes, kind: str) -> None:
    assert sniff_raster(octets) == kind


def test_a_pdf_may_have_something_in_front() -> None:
    assert is_pdf(b"\n\n%PDF-1.4")
    assert not is_pdf(b"x" * 2000 + b"%PDF-1.4")
