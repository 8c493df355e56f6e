"""What must change in a message for a next hop that cannot carry it as it is (RFC 6152 §3, RFC 3030 §3).

As Postfix does: parts with 8-bit octets become quoted-printable when they are text and base64 otherwise, their
Content-Transfer-Encoding says so, and containers no longer claim "8bit" or "binary". Parts with bare CR, bare LF
or NUL become base64, whatever they are. Signed and encrypted parts are never touched: a message that would need it
is refused with 5.6.3. A message without MIME header fields is declared text in an unknown 8-bit character set
(RFC 1428 §3).

Header sections pass as they are, 8-bit octets included: without SMTPUTF8 in the envelope nobody was promised
anything about them. The sending side refuses SMTPUTF8 messages that need it (5.6.7).
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.encodings import encode_base64, encode_quoted_printable, is_line_text
from posthouse.message.header import MAX_LINE_OCTETS, iterate_fields
from posthouse.message.mime import Part, scan_structure
from posthouse.message.outcome import Refused
from posthouse.message.reply import Reply

_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
_SIGNED = Refused(Reply(554, "5.6.3", "Conversion required but not allowed: the message is signed or encrypted"))
_COMPLEX = Refused(Reply(554, "5.6.3", "Conversion required but not possible: too many parts"))
_BROKEN_LINES = Refused(Reply(554, "5.6.3", "Conversion required but not possible: bare CR or LF outside of parts"))


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace `data[start:end]` by `text`."""

    start: int
    end: int
    text: bytes


def needs_reencoding(data: bytes, hop: HopCapabilities) -> bool:
    """A quick look: False means that the message can go as it is."""
    if hop.binarymime:
        return False
    return (not hop.eightbitmime and not data.isascii()) or not is_line_text(data)


def reencode(data: bytes, hop: HopCapabilities) -> bytes | Refused:
    """The message for this hop; the same object when nothing had to change. CPU work in proportion to its size."""
    if hop.binarymime:
        return data
    edits = plan_reencoding(data, hop)
    if isinstance(edits, Refused):
        return edits
    result = apply_edits(data, edits)
    if not is_line_text(result):
        return _BROKEN_LINES
    return result


def plan_reencoding(data: bytes, hop: HopCapabilities) -> list[Edit] | Refused:
    """The changes, in the order of their places; empty when the message can go as it is."""
    structure = scan_structure(data)
    plan = _Plan(data, hop)
    skip_until = -1  # inside a part that stays as it is, or was encoded as a whole
    for part in structure.root.walk():
        if part.start < skip_until:
            continue
        if _is_sealed(part):
            if any(plan.has_problem(inner) for inner in part.walk()):
                return _SIGNED
            skip_until = part.end
        elif plan.is_international(part):
            plan.encode_leaf(part, encode_base64(data[part.body : part.end]), b"base64")
            skip_until = part.end
        elif part.children or part.is_multipart:
            plan.relabel_container(part)
        else:
            plan.edit_leaf(part)
    if plan.is_empty:
        return []
    return _COMPLEX if structure.is_truncated else plan.finish(structure.root)


def apply_edits(data: bytes, edits: list[Edit]) -> bytes:
    """The data with the edits made."""
    pieces: list[bytes] = []
    at = 0
    for edit in edits:
        pieces += (data[at : edit.start], edit.text)
        at = edit.end
    pieces.append(data[at:])
    return b"".join(pieces)


def _is_sealed(part: Part) -> bool:
    """Signed, encrypted, or a piece of a larger message: must go as it is (RFC 1847 §2.1, RFC 8551 §3.1.1)."""
    kind = part.content_type
    if kind.main == "multipart":
        return kind.sub in ("signed", "encrypted")
    if kind.main == "message":
        return kind.sub == "partial"  # RFC 2046 §5.2.2
    return kind.main == "application" and kind.sub in ("pkcs7-mime", "x-pkcs7-mime")


def _has_long_lines(body: bytes) -> bool:
    return max(map(len, body.split(b"\r\n"))) > MAX_LINE_OCTETS


class _Plan:
    """The changes so far. New fields are collected per part and put in at the end, all in one place."""

    def __init__(self, data: bytes, hop: HopCapabilities) -> None:
        self._data, self._hop = data, hop
        self._edits: list[Edit] = []
        self._new_fields: dict[Part, bytes] = {}

    @property
    def is_empty(self) -> bool:
        return not self._edits and not self._new_fields

    def has_problem(self, part: Part) -> bool:
        """Whether the octets of this very part cannot go as they are."""
        if part.children or part.is_multipart or part.encoding not in _IDENTITY:
            return False
        return self._is_unfit(self._data[part.body : part.end])

    def _is_unfit(self, body: bytes) -> bool:
        return (not self._hop.eightbitmime and not body.isascii()) or not is_line_text(body)

    def is_international(self, part: Part) -> bool:
        """An attached message with UTF-8 in its header: only as a whole can it become ASCII (RFC 6532 §3.7)."""
        if self._hop.eightbitmime or part.content_type.full != "message/global" or not part.children:
            return False
        return any(not self._data[inner.start : inner.body].isascii() for inner in part.walk())

    def edit_leaf(self, part: Part) -> None:
        if part.encoding not in _IDENTITY:
            return  # encoded already; if it holds 8-bit octets nevertheless, they are not ours to mend
        body = self._data[part.body : part.end]
        if self._is_unfit(body) or (part.encoding == "binary" and _has_long_lines(body)):
            self.encode_leaf(part, *self._encode(part, body))
        else:
            self._relabel(part, b"7bit" if body.isascii() else b"8bit")

    def _encode(self, part: Part, body: bytes) -> tuple[bytes, bytes]:
        if part.content_type.main in ("text", "message") and is_line_text(body):
            encoded = encode_quoted_printable(body)
            if b"\r\n--" not in encoded or b"\r\n--" in body:
                return encoded, b"quoted-printable"
            # A soft line break made a line that might look like a delimiter; base64 has no hyphens.
        return encode_base64(body), b"base64"

    def encode_leaf(self, part: Part, encoded: bytes, encoding: bytes) -> None:
        self._set_encoding(part, encoding)
        self._edits.append(Edit(part.body, part.end, encoded))

    def relabel_container(self, part: Part) -> None:
        """Containers have no encoding of their own, only the label of what they hold (RFC 2045 §6.4)."""
        has_8bit = self._hop.eightbitmime and not self._data[part.body : part.end].isascii()
        self._relabel(part, b"8bit" if has_8bit else b"7bit")

    def _relabel(self, part: Part, encoding: bytes) -> None:
        """Correct a label that the hop could not believe; one that is absent means 7bit."""
        if part.encoding in ("8bit", "binary") and part.encoding != encoding.decode("ascii"):
            self._set_encoding(part, encoding)

    def _set_encoding(self, part: Part, encoding: bytes) -> None:
        """One Content-Transfer-Encoding in the place of those that are there, or a new one."""
        field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
        for found in iterate_fields(self._data, part.start, part.fields_end):
            if found.name == b"content-transfer-encoding":
                self._edits.append(Edit(found.start, found.next, field))
                field = b""
        if field:
            self._new_fields[part] = field

    def finish(self, root: Part) -> list[Edit]:
        """All edits in the order of the message, which is a MIME message from now on (RFC 2045 §4)."""
        names = {field.name for field in iterate_fields(self._data, root.start, root.fields_end)}
        missing = b"" if b"mime-version" in names else b"MIME-Version: 1.0\r\n"
        if b"content-type" not in names:
            missing += b"Content-Type: text/plain; charset=unknown-8bit\r\n"
        if missing:
            self._new_fields[root] = missing + self._new_fields.get(root, b"")
        edits = [*self._edits, *(self._insert(part, fields) for part, fields in self._new_fields.items())]
        edits.sort(key=lambda edit: (edit.start, edit.end))
        return edits

    def _insert(self, part: Part, fields: bytes) -> Edit:
        """Behind the last field, with what is missing there: its line end, the blank line."""
        end = part.fields_end
        if end > part.start and self._data[end - 2 : end] != b"\r\n":
            fields = b"\r\n" + fields
        if end == part.body:
            fields += b"\r\n"
        return Edit(end, end, fields)
