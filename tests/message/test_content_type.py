"""Content-Type values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.content_type import parse_content_type


@pytest.mark.parametrize(
    ("value", "full", "params"),
    [
        (b" text/plain", "text/plain", {}),
        (b" TEXT/Html; Charset=UTF-8", "text/html", {"charset": "UTF-8"}),
        (b' multipart/mixed;\r\n\tboundary="a b;c"', "multipart/mixed", {"boundary": "a b;c"}),
        (rb' text/plain; name="a\"b\\c"', "text/plain", {"name": r'a"b\c'}),
        (b" text/plain (comment; charset=x); charset=y (z)", "text/plain", {"charset": "y"}),
        (b' text/plain; name="a (not a comment)"', "text/plain", {"name": "a (not a comment)"}),
        (b" text/plain (nested (deep) still); a=b", "text/plain", {"a": "b"}),
        (b" text/plain; a=b; a=c", "text/plain", {"a": "b"}),
        (b' text/plain; a="never closed', "text/plain", {"a": "never closed"}),
        (b" text / plain ; a = b", "text/plain", {"a": "b"}),
        (b" application/x; name*=utf-8'de'%C3%A4.pdf", "application/x", {"name": "ä.pdf"}),
        (b" application/x; name*1=b; name*0=a", "application/x", {"name": "ab"}),
        (b" application/x; name*0*=utf-8''%C3; name*1*=%A4; name*2=%41", "application/x", {"name": "ä%41"}),
        (b" application/x; name*0=a; name*2=c", "application/x", {"name": "a"}),
        (b" application/x; name*=unicode_escape''\\x41", "application/x", {"name": "\\x41"}),
    ],
)
def test_values(value: bytes, full: str, params: dict[str, str]) -> None:
    kind = parse_content_type(value)
    assert (kind.full, dict(kind.params)) == (full, params)


@pytest.mark.parametrize("value", [b"", b" text", b" ;charset=x", b" (", b" /", b" \xff/\xff"])
def test_what_cannot_be_read_is_plain_text(value: bytes) -> None:
    assert parse_content_type(value).full == "text/plain"


@given(st.binary(max_size=100), st.binary(max_size=100))
def test_nothing_raises(start: bytes, end: bytes) -> None:
    parse_content_type(start + end)
    parse_content_type(b"text/plain; a*0*=" + start + b"; a*=" + end)


def test_a_remembered_value_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        parse_content_type(b"text/plain; a=b").params["a"] = "c"  # type: ignore[index]
