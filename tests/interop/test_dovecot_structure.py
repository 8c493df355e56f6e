"""ENVELOPE and BODYSTRUCTURE beside Dovecot's, over our corpora and the standard library's messages.

Case does not count. What we accept as different: Dovecot says MISSING_DOMAIN and MISSING_MAILBOX where nothing is, goes
on with a header behind a line that is no field and behind an mbox "From " line, reads no type out of some broken
Content-Type fields, sorts the parameters, and shows nothing of a multipart in which it finds no part.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from posthouse.message.parse import parse_message
from tests.message.imap_lists import Item, read_list

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

UNPACKED = Path(os.environ.get("PYTHON_SUITE_ROOT", "/usr/local/lib/posthouse-interop/python"))
SUITE = UNPACKED / "usr/lib/python3.11/test/test_email/data"
CORPUS = Path(__file__).parent.parent / "corpora"

HEADER_GOES_ON = "a line that is no field does not end Dovecot's header"
FROM_LINE = "an mbox line in front"
NO_PARTS = "we show the text of a multipart without parts, Dovecot an empty one"
EXTENDED = "the same continuations, other characters percent-encoded"
ACCEPTED = {
    "msg_14.txt": "a type of one word is no type for us",
    "msg_17.txt": NO_PARTS,
    "msg_19.txt": HEADER_GOES_ON,
    "msg_25.txt": FROM_LINE,
    "msg_29.txt": EXTENDED,
    "msg_31.txt": NO_PARTS,
    "msg_32.txt": "an extended charset is one for us",
    "msg_33.txt": "extended parameters of a multipart",
    "msg_35.txt": HEADER_GOES_ON,
    "msg_38.txt": HEADER_GOES_ON,
    "msg_41.txt": HEADER_GOES_ON,
    "msg_42.txt": HEADER_GOES_ON,
    "msg_43.txt": FROM_LINE,
}
_NAMES = re.compile(rb"(?<=[( ])(ENVELOPE|BODYSTRUCTURE) ")
_FETCH = re.compile(rb"\* (\d+) FETCH ")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|\{(\d+)\}\r\n|[()]|[^()"{]+', re.DOTALL)
_MISSING = {b"missing_domain": b"", b"missing_mailbox": b""}


def list_messages() -> dict[str, bytes]:
    paths = [*sorted(SUITE.glob("msg_*.txt")), *sorted(CORPUS.glob("*.eml"))]
    return {path.name: re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in paths}


def find_end(data: bytes, position: int) -> int:
    """Behind the list that begins at `position`."""
    depth = 0
    while True:
        token = _TOKEN.match(data, position)
        assert token is not None
        position = token.end() + int(token[1] or 0)
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
        if not depth:
            return position


def ask_dovecot(directory: Path, messages: Iterable[bytes], commands: bytes) -> bytes:
    """Its imap process itself, logged in already, on a Maildir."""
    for parent in (directory, *directory.parents):
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    box = directory / "mail"
    for name in ("cur", "new", "tmp"):
        (box / name).mkdir(parents=True)
    for number, octets in enumerate(messages):
        (box / "cur" / f"{number:06}.x:2,").write_bytes(octets)
    configuration = directory / "dovecot.conf"
    configuration.write_text(
        f"base_dir={directory}/run\nmail_location=maildir:{box}\nssl=no\nfirst_valid_uid=0\nprotocols=imap\n"
        "mail_uid=nobody\nmail_gid=nogroup\n"
    )
    for path in (directory, *directory.rglob("*")):
        shutil.chown(path, "nobody", "nogroup")
    return subprocess.run(
        ["/usr/lib/dovecot/imap", "-c", str(configuration)],
        input=commands,
        capture_output=True,
        env={"USER": "nobody", "HOME": str(directory), "MAIL": f"maildir:{box}"},
        user="nobody",
        group="nogroup",
        extra_groups=[],
        check=True,
    ).stdout


def fetch(directory: Path, messages: dict[str, bytes]) -> Iterator[dict[bytes, Item]]:
    commands = b"a SELECT INBOX\r\nb FETCH 1:* (ENVELOPE BODYSTRUCTURE)\r\nc LOGOUT\r\n"
    answer = ask_dovecot(directory, messages.values(), commands)
    assert b"b OK" in answer
    for found in _FETCH.finditer(answer):
        items = read_list(_NAMES.sub(rb'"\1" ', answer[found.end() : find_end(answer, found.end())]))
        assert isinstance(items, list)
        yield {key: value for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, bytes)}


def normalize(item: Item) -> Item:
    """Lower case, Dovecot's words for nothing as nothing, pairs of parameters in order."""
    if not isinstance(item, list):
        return _MISSING.get(item.lower(), item.lower()) if item is not None else None
    items = [normalize(inner) for inner in item]
    if len(items) % 2 == 0 and all(isinstance(inner, bytes) for inner in items):
        pairs = sorted(zip(items[::2], items[1::2], strict=True), key=str)
        items = [inner for pair in pairs for inner in pair]
    return items


def test_dovecot_sees_the_same(tmp_path: Path) -> None:
    messages = list_messages()
    assert len(messages) > 45
    different = set()
    for (name, octets), theirs in zip(messages.items(), fetch(tmp_path, messages), strict=True):
        parsed = parse_message(octets)
        ours = {b"ENVELOPE": parsed.envelope, b"BODYSTRUCTURE": parsed.bodystructure}
        if any(normalize(read_list(value)) != normalize(theirs[key]) for key, value in ours.items()):
            different.add(name)
    assert different == set(ACCEPTED)
