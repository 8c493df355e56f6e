"""Python's libraries for IMAP: imaplib, IMAPClient and aioimaplib."""

from __future__ import annotations

import asyncio
import imaplib
from collections.abc import Iterator
from contextlib import contextmanager

import aioimaplib
import imapclient
import pytest

from tests.interop.lab import Lab
from tests.interop.office import PASSWORD
from tests.interop.reading import World, be_on, make_context, must, open_world, write_letter

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

LETTERS = [write_letter(f"Letter {number}", f"Hello {number}.\r\n" * number) for number in range(20)]


@pytest.fixture(scope="module")
def world(lab: Lab) -> World:
    return open_world(lab)


# -- imaplib


@contextmanager
def open_imaplib(world: World, account: str, port: int) -> Iterator[imaplib.IMAP4]:
    with be_on(world.client):
        if port == 993:
            imap: imaplib.IMAP4 = imaplib.IMAP4_SSL(world.address, ssl_context=make_context(), timeout=30)
        else:
            imap = imaplib.IMAP4(world.address, timeout=30)
            assert "LOGINDISABLED" in imap.capabilities
            imap.starttls(make_context())
        with imap:
            assert "LOGINDISABLED" not in imap.capabilities
            yield imap


@pytest.mark.parametrize("port", [143, 993])
def test_imaplib(world: World, port: int) -> None:
    account = world.take_account()
    with open_imaplib(world, account, port) as imap:
        must(imap.login(account, PASSWORD))
        for letter in LETTERS:
            must(imap.append("INBOX", "(\\Flagged)", imaplib.Time2Internaldate(1_700_000_000), letter))
        assert must(imap.select()) == [b"20"]
        data = must(imap.fetch("1:*", "(RFC822)"))
        assert [part[1] for part in data if isinstance(part, tuple)] == LETTERS
        assert must(imap.search(None, "SUBJECT", '"letter 3"')) == [b"4"]
        assert must(imap.sort("(REVERSE SIZE)", "UTF-8", "1:3")) == [b"3 2 1"]
        assert must(imap.thread("REFERENCES", "UTF-8", "1:3")) == [b"(1)(2)(3)"]
        must(imap.copy("1:2", "Archive"))
        must(imap.store("3:4", "+FLAGS.SILENT", "\\Deleted"))
        assert must(imap.expunge()) in ([b"3", b"3"], [b"4", b"3"])
        must(imap.create('"A mailbox"'))
        must(imap.rename('"A mailbox"', '"Another one"'))
        assert any(b'"Another one"' in line for line in must(imap.list()) if isinstance(line, bytes))
        must(imap.unselect())
        must(imap.enable("UTF8=ACCEPT"))
        must(imap.create('"Bücher"'))
        must(imap.append('"Bücher"', "", "", write_letter("Schöne Grüße")))
    assert [each.octets for each in world.read(account, "Archive")] == LETTERS[:2]
    assert [each.octets for each in world.read(account, "Bücher")] == [write_letter("Schöne Grüße")]
    assert len(world.read(account)) == 18
    assert all(each.received == 1_700_000_000 for each in world.read(account))


@pytest.mark.parametrize("port", [143, 993])
def test_imaplib_with_sasl_and_a_wrong_password(world: World, port: int) -> None:
    account = world.take_account()
    with open_imaplib(world, account, port) as imap:
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            imap.login(account, "wrong")
        must(imap.authenticate("PLAIN", lambda _: f"\0{account}\0{PASSWORD}".encode()))


# -- IMAPClient


@contextmanager
def open_imapclient(world: World, account: str, port: int = 993) -> Iterator[imapclient.IMAPClient]:
    with be_on(world.client):
        ssl_context = make_context()
        with imapclient.IMAPClient(world.address, port, ssl=port == 993, ssl_context=ssl_context, timeout=30) as client:
            if port == 143:
                client.starttls(ssl_context)
            client.login(account, PASSWORD)
            yield client


@pytest.mark.parametrize("port", [143, 993])
def test_imapclient(world: World, port: int) -> None:
    account = world.take_account()
    world.fill(account, LETTERS)
    with open_imapclient(world, account, port) as client:
        client.id_({"name": "IMAPClient"})
        assert client.namespace().personal == (("", "/"),)
        uses = {b"\\Sent": "Sent", b"\\Trash": "Trash", b"\\Drafts": "Drafts", b"\\Junk": "Junk"}
        assert {use: client.find_special_folder(use) for use in uses} == uses
        selected = client.select_folder("INBOX")
        assert selected[b"EXISTS"] == len(LETTERS)
        found = client.fetch(
            client.search(), ["BODY.PEEK[]", "ENVELOPE", "BODYSTRUCTURE", "INTERNALDATE", "FLAGS", "MODSEQ"]
        )
        assert [found[uid][b"BODY[]"] for uid in sorted(found)] == LETTERS
        assert found[1][b"ENVELOPE"].subject == b"Letter 0"
        assert found[1][b"BODYSTRUCTURE"][:2] == (b"text", b"plain")
        assert client.search(["SUBJECT", "Letter 7"]) == [8]
        assert client.search(["TEXT", "Grüße"], "UTF-8") == []
        assert client.sort("REVERSE SUBJECT", "UID 1:5") == [5, 4, 3, 2, 1]
        assert client.thread("REFERENCES", "UID 1:3") == ((1,), (2,), (3,))
        assert client.add_flags([1, 2], ["\\Seen", "$Forwarded"])[1] == (b"\\Seen", b"$Forwarded")
        assert client.search("SEEN") == [1, 2]
        client.move([1, 2], "Archive")
        client.copy([3], "Archive")
        assert client.folder_status("Archive", ["MESSAGES", "UNSEEN"]) == {b"MESSAGES": 3, b"UNSEEN": 1}
        client.create_folder("Bücher/日本語")
        assert "Bücher/日本語" in [name for _, _, name in client.list_folders()]
        client.subscribe_folder("Bücher/日本語")
        client.rename_folder("Bücher", "Books")
        client.multiappend("Books/日本語", LETTERS[:3])
        client.delete_messages([4])
        client.uid_expunge([4])
        client.uid_expunge([5])  # it is not marked
        assert len(client.search()) == 17
        assert client.get_quota() == []
    assert [each.octets for each in world.read(account, "Books/日本語")] == LETTERS[:3]


def test_imapclient_tells_changes_since(world: World) -> None:
    account = world.take_account()
    world.fill(account, LETTERS)
    with open_imapclient(world, account) as first, open_imapclient(world, account) as second:
        first.enable("QRESYNC")  # it does so only before a mailbox is open
        modseq = first.select_folder("INBOX")[b"HIGHESTMODSEQ"]
        second.select_folder("INBOX")
        second.add_flags([7], ["\\Flagged"])
        changed = first.fetch(first.search(), ["FLAGS"], [f"CHANGEDSINCE {modseq}"])
        assert set(changed) == {7}
        assert changed[7][b"FLAGS"] == (b"\\Flagged",)
        assert changed[7][b"MODSEQ"][0] > modseq
        second.delete_messages([9])
        second.expunge()
        assert (b"VANISHED", 9) in first.noop()[1]


def test_imapclient_hears_of_everything_while_it_idles(world: World) -> None:
    account = world.take_account()
    world.fill(account, LETTERS[:3])
    with open_imapclient(world, account) as first, open_imapclient(world, account) as second:
        first.select_folder("INBOX")
        second.select_folder("INBOX")
        first.idle()
        second.append("INBOX", LETTERS[4])
        assert first.idle_check(20)[0] == (4, b"EXISTS")
        second.add_flags([2], ["\\Seen"])
        heard = first.idle_check(20)
        assert (2, b"FETCH", (b"UID", 2, b"FLAGS", (b"\\Seen",))) in heard or (
            2,
            b"FETCH",
            (b"FLAGS", (b"\\Seen",)),
        ) in heard
        second.delete_messages([1])
        second.expunge()
        heard = [*first.idle_check(20), *first.idle_check(1)]
        assert (1, b"EXPUNGE") in heard
        first.idle_done()
        assert first.search() == [2, 3, 4]


# -- aioimaplib


async def use_aioimaplib(world: World, account: str) -> None:
    client = aioimaplib.IMAP4_SSL(world.address, ssl_context=make_context(), timeout=30)
    await client.wait_hello_from_server()
    assert (await client.login(account, PASSWORD)).result == "OK"
    assert client.has_capability("IDLE")
    assert (await client.select()).result == "OK"
    other = aioimaplib.IMAP4_SSL(world.address, ssl_context=make_context(), timeout=30)
    await other.wait_hello_from_server()
    assert (await other.login(account, PASSWORD)).result == "OK"

    idle = await client.idle_start(timeout=60)
    assert (await other.append(LETTERS[3], mailbox="INBOX")).result == "OK"
    assert b"1 EXISTS" in await client.wait_server_push(20)
    client.idle_done()
    assert (await asyncio.wait_for(idle, 20)).result == "OK"

    answer = await client.fetch("1", "(BODY.PEEK[])")
    assert LETTERS[3] in [bytes(line) for line in answer.lines]
    assert (await client.uid("store", "1", "+FLAGS", "(\\Seen)")).result == "OK"
    assert (await client.uid_search("SEEN")).lines[0] == b"1"
    assert (await client.move("1", "Archive")).result == "OK"
    assert (await client.create('"A new one"')).result == "OK"
    assert (await client.getquotaroot("INBOX")).result == "OK"
    for each in (client, other):
        assert (await each.logout()).result == "OK"


def test_aioimaplib(world: World) -> None:
    account = world.take_account()
    with be_on(world.client):
        asyncio.run(use_aioimaplib(world, account))
    (moved,) = world.read(account, "Archive")
    assert moved.octets == LETTERS[3]
    assert moved.flags == {"\\Seen"}
