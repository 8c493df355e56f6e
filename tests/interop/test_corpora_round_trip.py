"""Every message of the corpora through the store and out again: the same octets, by Maildir and by mbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.adapters.maildir_reader import MaildirSource
from posthouse.adapters.maildir_writer import MaildirSink
from posthouse.adapters.mbox import MboxSource, find_files
from posthouse.adapters.mbox_writer import MboxSink
from posthouse.message.mailbox import Role
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from tests.interop.test_dovecot_structure import CORPUS, SUITE, list_messages
from tests.manage.transfer_kit import ALICE, BOB, open_depot

pytestmark = pytest.mark.interop


def list_octets() -> list[bytes]:
    """As they lie there, and as mail."""
    files = [path.read_bytes() for path in (*sorted(SUITE.iterdir()), *sorted(CORPUS.glob("*.eml"))) if path.is_file()]
    assert len(files) > 50
    return files + list(list_messages().values())


@pytest.mark.parametrize("form", ["maildir", "mbox"])
async def test_what_comes_out_is_what_went_in(tmp_path: Path, form: str) -> None:
    octets = list_octets()
    if form == "maildir":  # without CRLF in the first line a file of a Maildir is not taken as it stands
        octets = [each for each in octets if each.find(b"\r\n") == each.find(b"\n") - 1]
    out = str(tmp_path / "out")
    async with open_depot(tmp_path) as depot:
        additions = [Addition((Role.INBOX,), InlineBody(each), parse_message(each)) for each in octets]
        await depot.store.messages.add(ALICE, additions)
        assert [kept.octets for kept in (await depot.everything())["INBOX"]] == octets
        if form == "maildir":
            await depot.take(MaildirSink(out, "1"))
            await depot.bring(MaildirSource(out, limit=1 << 22), BOB)
        else:
            await depot.take(MboxSink(out, "1"))
            for file, path in find_files(out):
                await depot.bring(MboxSource(file, path, limit=1 << 22), BOB)
        assert [kept.octets for kept in (await depot.everything(BOB))["INBOX"]] == octets
