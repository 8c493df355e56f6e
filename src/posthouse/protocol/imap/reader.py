"""Reading the arguments of one complete command: texts with literals between them (RFC 9051 §9).

Every rule of the grammar that several commands share is a method here; each carries its RFC name. Patterns take what
they begin to read, so nothing is looked at twice. What is wrong raises `SyntaxProblem`, whose text says what was
expected. Quoted strings may hold UTF-8 where the session has enabled it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from posthouse.message.modified_utf7 import decode_name, read_name

T = TypeVar("T")

MAX_NUMBER = 2**32 - 1
MAX_NUMBER64 = 2**63 - 1
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')  # ATOM-CHAR+
_ASTRING = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\]+')  # ASTRING-CHAR+: "]" too
_LIST_MAILBOX = re.compile(rb'[^\x00-\x20\x7f-\xff(){"\\]+')  # list-char+: wildcards too
_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]++|\\["\\])*+)"')
_ESCAPED = re.compile(rb'\\(["\\])')
_NUMBER = re.compile(rb"[0-9]{1,20}")
_SEQUENCE_SET = re.compile(
    rb"(?:[1-9][0-9]{0,9}+(?::[1-9][0-9]{0,9}+)?+,)*+"  # most of a long one, quickly
    rb"(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?"
    rb"(?:,(?:[1-9][0-9]{0,9}|\*)(?::(?:[1-9][0-9]{0,9}|\*))?)*+(?=[ )\]]|\Z)"
)
_FLAG = re.compile(rb'\\?[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_SPACES = re.compile(rb" *+\Z")
_UNSHOWABLE = re.compile(rb"[^ -~]")
_SHOWN = 40


class SyntaxProblem(Exception):
    """The client's fault. `code` for the response, `status` BAD or NO."""

    def __init__(self, text: str, code: bytes = b"", status: bytes = b"BAD") -> None:
        super().__init__(text)
        self.text, self.code, self.status = text, code, status


class Literal:
    """`is_binary`: literal8 (RFC 3516), which alone may hold NUL."""

    __slots__ = ("is_binary", "octets")

    def __init__(self, octets: bytes, *, is_binary: bool) -> None:
        self.octets, self.is_binary = octets, is_binary


class Reader:
    """`texts[i]` is followed by `literals[i]`; there is one text more than literals."""

    __slots__ = ("_at", "_index", "_literals", "_text", "_texts", "depth", "is_uid_only", "is_utf8")

    def __init__(
        self,
        texts: Sequence[bytes],
        literals: Sequence[Literal],
        *,
        at: int = 0,
        is_utf8: bool = False,
        is_uid_only: bool = False,
        depth: int = 50,
    ) -> None:
        self._texts, self._literals = texts, literals
        self._index, self._text, self._at = 0, texts[0], at
        self.is_utf8, self.is_uid_only = is_utf8, is_uid_only
        self.depth = depth  # parentheses that may still be opened

    # -- characters

    def fail(self, expected: str) -> NoReturn:
        found = _UNSHOWABLE.sub(b"?", self._text[self._at : self._at + _SHOWN]).decode("ascii")
        raise SyntaxProblem(f"Expected {expected}" + (f" at: {found}" if found else " at the end"))

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._text) and self._index == len(self._literals)

    def end(self) -> None:
        """Spaces at the end are nothing: some clients send them."""
        self.match(_SPACES)
        if not self.is_at_end:
            self.fail("the end of the command")

    def has(self, token: bytes) -> bool:
        """Whether that comes next, in the case it is given."""
        return self._text.startswith(token, self._at)

    def accept(self, token: bytes) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def expect(self, token: bytes) -> None:
        if not self.accept(token):
            self.fail(f'"{token.decode("ascii")}"')

    def space(self) -> None:
        if not self.accept(b" "):
            self.fail("a space")

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    @property
    def has_literal(self) -> bool:
        return self._at == len(self._text) and self._index < len(self._literals)

    # -- tokens

    def atom(self, expected: str = "a word") -> bytes:
        found = self.match(_ATOM)
        return found[0] if found is not None else self.fail(expected)

    def keyword(self, expected: str = "a word") -> str:
        """An atom that means the same in any case."""
        return self.atom(expected).decode("ascii").upper()

    def literal(self) -> Literal:
        if not self.has_literal:
            self.fail("a literal")
        found = self._literals[self._index]
        if not found.is_binary and b"\x00" in found.octets:
            raise SyntaxProblem("A literal with NUL in it has to be a literal8")
        self._index += 1
        self._text, self._at = self._texts[self._index], 0
        return found

    def string_octets(self, expected: str = "a string") -> bytes:
        """string: quoted or literal."""
        if self.has_literal:
            found = self.literal()
            if found.is_binary:
                raise SyntaxProblem("A literal8 is not allowed here")
            return found.octets
        quoted = self.match(_QUOTED)
        if quoted is None:
            self.fail(expected)
        value = quoted[1]
        if not value.isascii() and not self.is_utf8:
            raise SyntaxProblem("8-bit characters in a quoted string: enable UTF8=ACCEPT or IMAP4rev2 first")
        return _ESCAPED.sub(rb"\1", value) if b"\\" in value else value

    def astring_octets(self, expected: str = "a string") -> bytes:
        found = self.match(_ASTRING)
        return found[0] if found is not None else self.string_octets(expected)

    def astring(self, expected: str = "a string") -> str:
        return decode(self.astring_octets(expected))

    def string(self, expected: str = "a string") -> str:
        return decode(self.string_octets(expected))

    def nstring(self) -> str | None:
        return None if self.accept_word(b"NIL") else self.string()

    def accept_word(self, word: bytes) -> bool:
        """A word in any case, not the beginning of a longer one."""
        end = self._at + len(word)
        if self._text[self._at : end].upper() != word:
            return False
        if _ASTRING.match(self._text, end) is not None:
            return False
        self._at = end
        return True

    def number(self, expected: str = "a number", *, most: int = MAX_NUMBER, least: int = 0) -> int:
        found = self.match(_NUMBER)
        if found is None:
            self.fail(expected)
        value = int(found[0])
        if not least <= value <= most:
            raise SyntaxProblem(f"{value} is out of range: expected {expected} from {least} to {most}")
        return value

    def flag(self) -> str:
        """flag: system flags in their usual case, keywords as they are given."""
        found = self.match(_FLAG)
        if found is None:
            self.fail("a flag")
        name = found[0].decode("ascii")
        return _SYSTEM_FLAGS.get(name.lower(), name) if name.startswith("\\") else name

    def mailbox(self, code: bytes = b"NONEXISTENT") -> str:
        """`code`: of the refusal of a name that is no modified UTF-7 (RFC 3501 §5.1.3): no mailbox has it."""
        octets = self.astring_octets("the name of a mailbox")
        if b"&" in octets and not self.is_utf8 and octets.isascii() and read_name(octets) is None:
            raise SyntaxProblem("That name is no modified UTF-7", code, b"NO")
        return self.name_of(octets)

    def list_mailbox(self) -> str:
        """A pattern of LIST."""
        found = self.match(_LIST_MAILBOX)
        return self.name_of(found[0] if found is not None else self.string_octets("the name of a mailbox"))

    def name_of(self, octets: bytes) -> str:
        if octets.upper() == b"INBOX":
            return "INBOX"
        if self.is_utf8 or not octets.isascii():
            try:
                return octets.decode("utf-8")
            except UnicodeDecodeError:
                raise SyntaxProblem("The name of the mailbox is not UTF-8") from None
        return decode_name(octets)

    def sequence_set(self) -> tuple[tuple[int, int], ...]:
        """sequence-set without "$"; 0 is "*"."""
        found = self.match(_SEQUENCE_SET)
        if found is None:
            self.fail("numbers of messages")
        text = found[0].replace(b"*", b"0")
        colons = text.count(b":")
        if colons and colons <= text.count(b","):  # some are ranges, some are not
            text = b",".join([part if b":" in part else b"%b:%b" % (part, part) for part in text.split(b",")])
        numbers = list(map(int, text.replace(b":", b",").split(b",")))
        if len(text) > 9 and max(numbers) > MAX_NUMBER:
            raise SyntaxProblem("A number of a message is out of range")
        low, high = (numbers[::2], numbers[1::2]) if colons else (numbers, numbers)
        return tuple(zip(low, high, strict=True))

    # -- lists

    def open(self) -> bool:
        """ "(", if it is there; counted, so that nobody opens them without end."""
        if not self.accept(b"("):
            return False
        self.depth -= 1
        if self.depth < 0:
            raise SyntaxProblem("Too many parentheses within each other")
        return True

    def close(self) -> None:
        self.expect(b")")
        self.depth += 1

    def listed(self, read: Callable[[], T], expected: str = '"("', *, may_be_empty: bool = True) -> list[T]:
        """ "(" items with a space between them ")"."""
        if not self.open():
            self.fail(expected)
        items: list[T] = []
        if may_be_empty and self.accept(b")"):
            self.depth += 1
            return items
        items.append(read())
        while self.accept(b" "):
            items.append(read())
        self.close()
        return items


_SYSTEM_FLAGS = {
    flag.lower(): flag for flag in ("\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft", "\\Recent")
}


def decode(octets: bytes) -> str:
    """Text of an argument; what is not UTF-8 is as good as nothing that is known."""
    return octets.decode("utf-8", "replace")
