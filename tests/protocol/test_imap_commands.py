"""Every command of IMAP in its forms, and what is refused with which words; whole, by octets and in every split."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.message import search as s
from posthouse.message.mailbox import AccountId, EmailId, ThreadId
from posthouse.protocol.imap import commands as c
from posthouse.protocol.imap import values as v
from posthouse.protocol.imap.server_events import Command, State
from tests.protocol.imap_server_kit import make_core, parse, play, refuse, run

ONE = v.SequenceSet(((1, 1),))
SOME = v.SequenceSet(((1, 1), (3, 5), (7, 0)))
PLAIN = v.SearchReturn()


def message(octets: bytes) -> v.AppendMessage:
    return v.AppendMessage((octets,))


@pytest.mark.parametrize(
    ("arguments", "request_"),
    [
        (b"CAPABILITY", c.Capability()),
        (b"noop ", c.Noop()),
        (b"LOGOUT", c.Logout()),
        (b"CHECK", c.Check()),
        (b"CLOSE", c.Close()),
        (b"UNSELECT", c.Unselect()),
        (b"EXPUNGE", c.Expunge()),
        (b"NAMESPACE", c.Namespace()),
        (b"UNAUTHENTICATE", c.Unauthenticate()),
        (b"COMPRESS deflate", c.Compress("DEFLATE")),
        (b"ID NIL", c.Id()),
        (b'ID ("name" "x" "os" NIL)', c.Id({"name": "x", "os": None})),
        (b"ENABLE condstore UTF8=ACCEPT", c.Enable(("CONDSTORE", "UTF8=ACCEPT"))),
        (b"SELECT inbox", c.Select("INBOX")),
        (b'EXAMINE "a b"', c.Select("a b", is_read_only=True)),
        (b"SELECT x (CONDSTORE)", c.Select("x", condstore=True)),
        (b"SELECT x (QRESYNC (1 20))", c.Select("x", qresync=v.Qresync(1, 20))),
        (b"SELECT x (QRESYNC (1 20 1 (1 1)))", c.Select("x", qresync=v.Qresync(1, 20, ONE, (ONE, ONE)))),
        (b"SELECT x (QRESYNC (1 20 (1 1)))", c.Select("x", qresync=v.Qresync(1, 20, None, (ONE, ONE)))),
        (b"CREATE Entw&APw-rfe", c.Create("Entwürfe")),
        (b"CREATE x (USE (\\Sent))", c.Create("x", ("\\Sent",))),
        (b"DELETE {3+}\r\na b", c.Delete("a b")),
        (b"RENAME a b", c.Rename("a", "b")),
        (b"SUBSCRIBE a]", c.Subscribe("a]")),
        (b'UNSUBSCRIBE "a\\"b"', c.Unsubscribe('a"b')),
        (b'LIST "" *', c.List("", ("*",))),
        (b'LSUB "" %', c.Lsub("", "%")),
        (b"STATUS x (MESSAGES UIDNEXT)", c.Status("x", (v.StatusItem.MESSAGES, v.StatusItem.UIDNEXT))),
        (b"GETACL x", c.GetAcl("x")),
        (b"SETACL x bob +lr", c.SetAcl("x", "bob", "+", "lr")),
        (b'SETACL x bob ""', c.SetAcl("x", "bob", "", "")),
        (b"DELETEACL x bob", c.DeleteAcl("x", "bob")),
        (b"LISTRIGHTS x bob", c.ListRights("x", "bob")),
        (b"MYRIGHTS x", c.MyRights("x")),
        (b'GETQUOTA ""', c.GetQuota("")),
        (b"GETQUOTAROOT x", c.GetQuotaRoot("x")),
        (b'SETQUOTA "" (STORAGE 512 MESSAGE 5)', c.SetQuota("", (("STORAGE", 512), ("MESSAGE", 5)))),
        (b'GETMETADATA "" /Shared/x', c.GetMetadata("", ("/shared/x",))),
        (b"GETMETADATA (MAXSIZE 9 DEPTH infinity) x (/private/a)", c.GetMetadata("x", ("/private/a",), -1, 9)),
        (b"GETMETADATA x (DEPTH 1) (/private/a)", c.GetMetadata("x", ("/private/a",), 1)),
        (
            b'SETMETADATA x (/private/a NIL /private/b "v" /private/c ~{2+}\r\n\0x)',
            c.SetMetadata("x", (("/private/a", None), ("/private/b", b"v"), ("/private/c", b"\0x"))),
        ),
        (b"NOTIFY NONE", c.Notify()),
        (b'CANCELUPDATE "A1"', c.CancelUpdate((b"A1",))),
        (b"UIDBATCHES 500", c.UidBatches(500)),
        (b"UIDBATCHES 500 2:9", c.UidBatches(500, 2, 9)),
        (b"UID EXPUNGE 1", c.Expunge(ONE)),
        (b"COPY 1,3:5,7:* x", c.Copy(SOME, "x")),
        (b"UID MOVE $ x", c.Move(v.SAVED_RESULT, "x", is_uid=True)),
        (b"STORE 1 FLAGS ()", c.Store(ONE, v.StoreMode.SET, ())),
        (
            b"UID STORE 1 (UNCHANGEDSINCE 5) -flags.silent \\seen $x",
            c.Store(ONE, v.StoreMode.REMOVE, ("\\Seen", "$x"), True, True, 5),
        ),
        (b"APPEND inbox {2+}\r\nhi", c.Append("INBOX", (message(b"hi"),))),
        (b"APPEND x {1+}\r\na {1+}\r\nb", c.Append("x", (message(b"a"), message(b"b")))),
        (
            b'APPEND x (\\Seen \\Recent k) "17-Jul-1996 02:44:25 -0700" ~{2+}\r\n\0a',
            c.Append("x", (v.AppendMessage((b"\0a",), ("\\Seen", "k"), v.Moment(837596665.0, -420), is_binary=True),)),
        ),
        (b"APPEND x {1+}\r\na  {1+}\r\nb", c.Append("x", (message(b"a"), message(b"b")))),  # IMAPClient
        (b"APPEND x {9+}\r\nUTF8 (hi)", c.Append("x", (v.AppendMessage((b"hi",), is_utf8=True),))),  # imaplib
        (b"APPEND x UTF8 (~{2+}\r\nhi)", c.Append("x", (v.AppendMessage((b"hi",), is_utf8=True),))),
        (
            b'APPEND x CATENATE (URL "/a/;UID=1" TEXT {2+}\r\nhi)',
            c.Append("x", (v.AppendMessage((v.Url("/a/;UID=1"), b"hi")),)),
        ),
        (b"UID REPLACE 1 x {2+}\r\nhi", c.Replace(ONE, "x", message(b"hi"), is_uid=True)),
        (b"UID SUBMIT 1", c.UidSubmit(ONE)),
        (
            b'UID SUBMIT 1 (FROM "" RECIPIENT "a@b" DSN (DELAY FAILURE) RECIPIENT c@d DSN NONE DSN-RET HDRS)',
            c.UidSubmit(ONE, "", (("a@b", {"NOTIFY": "DELAY,FAILURE"}), ("c@d", {"NOTIFY": "NEVER"})), {"RET": "HDRS"}),
        ),
    ],
)
def test_a_command_is_read(arguments: bytes, request_: c.Request) -> None:
    assert parse(arguments) == request_


def test_list_has_options() -> None:
    told = parse(
        b'LIST (SUBSCRIBED RECURSIVEMATCH) "" (a% *) RETURN (CHILDREN STATUS (SIZE) METADATA (/private/x) MYRIGHTS)'
    )
    select = frozenset({v.ListSelect.SUBSCRIBED, v.ListSelect.RECURSIVEMATCH})
    returns = frozenset({v.ListReturn.CHILDREN, v.ListReturn.MYRIGHTS})
    assert told == c.List("", ("a%", "*"), select, returns, (v.StatusItem.SIZE,), ("/private/x",), is_extended=True)


def test_notify_names_events_and_mailboxes() -> None:
    told = parse(b'NOTIFY SET STATUS (selected (MessageNew (UID) MessageExpunge)) (subtree ("a b" c) NONE)')
    events = frozenset({v.Event.MESSAGE_NEW, v.Event.MESSAGE_EXPUNGE})
    first = v.EventGroup(v.Source(v.Scope.SELECTED), events, (v.Attribute.UID,))
    second = v.EventGroup(v.Source(v.Scope.SUBTREE, ("a b", "c")))
    assert told == c.Notify((first, second), wants_status=True)


@pytest.mark.parametrize(
    ("items", "found"),
    [
        (b"FAST", (v.Attribute.FLAGS, v.Attribute.INTERNALDATE, v.Attribute.SIZE)),
        (b"(UID FLAGS uid)", (v.Attribute.UID, v.Attribute.FLAGS)),
        (b"PREVIEW (LAZY)", (v.Attribute.PREVIEW_LAZY,)),
        (b"RFC822.HEADER", (v.Section(text=v.Text.HEADER, is_peek=True, name=b"RFC822.HEADER"),)),
        (b"BODY[]", (v.Section(),)),
        (b"body.peek[1.2.mime]", (v.Section("1.2", v.Text.MIME, is_peek=True, name=b"BODY[1.2.MIME]"),)),
        (b"BODY[TEXT]<5.10>", (v.Section(text=v.Text.TEXT, start=5, count=10, name=b"BODY[TEXT]"),)),
        (
            b'BODY[HEADER.FIELDS.NOT (Date "To")]',
            (v.Section("", v.Text.FIELDS_NOT, (b"date", b"to"), name=b"BODY[HEADER.FIELDS.NOT (Date To)]"),),
        ),
        (b"(BINARY.PEEK[1]<0.5> BINARY.SIZE[2])", (v.Binary("1", 0, 5, True), v.Binary("2", is_size=True))),
    ],
)
def test_fetch_items_are_read(items: bytes, found: tuple[v.FetchItem, ...]) -> None:
    assert parse(b"FETCH 1 " + items) == c.Fetch(ONE, found)


def test_fetch_has_modifiers() -> None:
    told = parse(b"UID FETCH 1 FLAGS (CHANGEDSINCE 7 VANISHED PARTIAL -1:-30)")
    assert told == c.Fetch(ONE, (v.Attribute.FLAGS,), True, 7, True, v.PartialRange(-1, -30))


SEEN, DRAFT = s.HasFlag("\\Seen"), s.HasFlag("\\Draft")
DAY = date(2020, 2, 1)


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (b"SEEN", SEEN),
        (b"UNSEEN DRAFT", v.AllOf((v.NoneOf(SEEN), DRAFT))),
        (b"NOT SEEN", v.NoneOf(SEEN)),
        (b"NOT NOT SEEN", SEEN),
        (b"OR SEEN OR DRAFT ALL", v.AnyOf((SEEN, DRAFT, s.All()))),
        (b"OR OR SEEN DRAFT ALL", v.AnyOf((SEEN, DRAFT, s.All()))),
        (b"OR (SEEN ALL) DRAFT", v.AnyOf((v.AllOf((SEEN, s.All())), DRAFT))),
        (b'FROM "a b"', s.Contains(s.Where.FROM, "a b")),
        (b"FUZZY TEXT x", s.Contains(s.Where.TEXT, "x", is_fuzzy=True)),
        (b"CHARSET ISO-8859-1 SUBJECT {1+}\r\n\xfc", s.Contains(s.Where.SUBJECT, "ü")),
        (b'HEADER X-Y ""', s.HasHeader("X-Y")),
        (b"KEYWORD $Junk", s.HasFlag("$Junk")),
        (b"SINCE 1-Feb-2020", s.Received(s.Side.SINCE, DAY)),
        (b'SENTBEFORE "01-feb-2020"', s.SentOn(s.Side.BEFORE, DAY)),
        (b"SAVEDON 1-Feb-2020", s.Saved(s.Side.ON, DAY)),
        (b"LARGER 5000000000", s.Larger(5_000_000_000)),
        (b"YOUNGER 60", v.Within(60, True)),
        (b"OLDER 60", v.Within(60, False)),
        (b"1,3:5,7:*", v.Numbered(SOME, False)),
        (b"UID $", v.Numbered(v.SAVED_RESULT, True)),
        (b'MODSEQ "/flags/\\\\draft" all 62', v.ModSeqFrom(62)),
        (b"EMAILID M3-12", v.OfAccount(AccountId(3), s.Emails(frozenset({EmailId(12)})))),
        (b"THREADID T3-7", v.OfAccount(AccountId(3), s.InThread(ThreadId(7)))),
    ],
)
def test_search_keys_are_read(keys: bytes, found: v.ImapKey) -> None:
    assert parse(b"UID SEARCH " + keys) == c.Search(found, PLAIN, is_uid=True)


def test_a_hundred_senders_are_one_search() -> None:
    told = parse(b"SEARCH " + b"OR FROM a " * 100 + b"FROM a")
    assert isinstance(told, c.Search)
    assert told.key == v.AnyOf((s.Contains(s.Where.FROM, "a"),) * 101)


@pytest.mark.parametrize(
    ("options", "returns"),
    [
        (b"()", v.SearchReturn(frozenset({v.Return.ALL}))),
        (b"(MIN COUNT)", v.SearchReturn(frozenset({v.Return.MIN, v.Return.COUNT}))),
        (b"(PARTIAL 9:1)", v.SearchReturn(frozenset(), v.PartialRange(1, 9))),
    ],
)
def test_return_options_are_read(options: bytes, returns: v.SearchReturn) -> None:
    assert parse(b"SEARCH RETURN " + options + b" ALL") == c.Search(s.All(), returns)
    by = (s.SortBy(s.SortKey.DATE, True), s.SortBy(s.SortKey.SUBJECT))
    assert parse(b"SORT RETURN " + options + b" (REVERSE DATE SUBJECT) UTF-8 ALL") == c.Sort(by, s.All(), returns)


def test_threads_and_many_mailboxes_are_searched() -> None:
    assert parse(b"UID THREAD REFS UTF-8 ALL") == c.Thread(v.ThreadKind.REFS, s.All(), is_uid=True)
    told = parse(b"ESEARCH IN (mailboxes (a b) personal) ALL")
    sources = (v.Source(v.Scope.MAILBOXES, ("a", "b")), v.Source(v.Scope.PERSONAL))
    assert told == c.Search(s.All(), v.SearchReturn(frozenset({v.Return.ALL})), True, sources)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (b"XYZ", "no command XYZ"),
        (b"UID XYZ", "no command UID XYZ"),
        (b"NOOP x", "the end of the command"),
        (b"FETCH 0 FLAGS", "numbers of messages"),
        (b"FETCH 4294967296 FLAGS", "out of range"),
        (b"FETCH 1 (FLAGS", '")"'),
        (b"FETCH 1 X", "no item X"),
        (b"FETCH 1 BODY[0]", "HEADER, TEXT, MIME or a part"),
        (b"FETCH 1 BODY[HEADER.FIELDS ({4+}\r\na\r\nb)]", "No field has such a name"),
        (b"FETCH 1 FLAGS (VANISHED)", "VANISHED"),
        (b"SEARCH SINCE yesterday", "a date"),
        (b"SEARCH SINCE 31-Feb-2020", "no such date"),
        (b"SEARCH XYZ", "no search key XYZ"),
        (b"SEARCH " + b"(" * 60, "Too many parentheses"),
        (b"SEARCH RETURN (PARTIAL 1:2 ALL) ALL", "exclude"),
        (b"SORT (X) UTF-8 ALL", "no sort key X"),
        (b"THREAD X UTF-8 ALL", "no threading algorithm X"),
        (b"STORE 1 FLAG \\Seen", "FLAGS"),
        (b"SELECT x (QRESYNC (1 2 *))", "not allowed"),
        (b'LIST (RECURSIVEMATCH) "" *', "RECURSIVEMATCH"),
        (b'LIST "" * RETURN (X)', "no return option X"),
        (b"APPEND x", "a message"),
        (b'APPEND x "31-Feb-2020 00:00:00 +0000" {1+}\r\na', "no such date"),
        (b"APPEND x {2+}\r\n\0a", "literal8"),
        (b"REPLACE 1:2 x {1+}\r\na", "one message"),
        (b"GETMETADATA x /a/", "/private/comment"),
        (b"UID SUBMIT 1 (X y)", "no option X"),
        (b"LOGIN a b", "not for this state"),
        (b'CREATE "a', "the name of a mailbox"),
        (b"CREATE {2+}\r\n\xff\xff", "not UTF-8"),
    ],
)
def test_a_wrong_command_is_told_what_was_expected(arguments: bytes, words: str) -> None:
    refused = refuse(arguments)
    assert refused.status == b"BAD"
    assert words in refused.text


def test_what_is_refused_for_other_reasons_has_its_code() -> None:
    refused = refuse(b"NOTIFY SET (selected (X))")
    assert refused.status == b"NO"
    assert refused.code.startswith(b"BADEVENT (")


def test_commands_have_their_states() -> None:
    assert refuse(b"LIST x y", State.NOT_AUTHENTICATED).text == "Log in first"
    assert refuse(b"UID FETCH 1 UID", State.AUTHENTICATED).text == "Select a mailbox first"


@pytest.mark.parametrize("line", [b"FETCH 1 UID", b"SEARCH ALL", b"UID SEARCH 1", b"SELECT x (QRESYNC (1 1 1 (1 1)))"])
def test_who_gave_up_sequence_numbers_cannot_use_them(line: bytes) -> None:
    """RFC 9586 §3."""
    assert refuse(line, uid_only=True).code == b"UIDREQUIRED"


def test_names_are_utf8_for_who_enabled_it() -> None:
    assert parse('SELECT "Entwürfe"'.encode(), utf8=True) == c.Select("Entwürfe")
    assert parse(b"SELECT Entw&APw-rfe", utf8=True) == c.Select("Entw&APw-rfe")


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=30),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_any_set_and_any_name_come_back_as_they_were(ranges: list[tuple[int, int]], name: str) -> None:
    written = ",".join(":".join(str(number or "*") for number in pair) for pair in ranges)
    octets = name.encode()
    line = b"a COPY %b {%d+}\r\n%b\r\n" % (written.encode(), len(octets), octets)
    (event,), _ = run(make_core(utf8=True), [line])
    wanted = "INBOX" if name.upper() == "INBOX" else name
    assert event == Command(b"a", c.Copy(v.SequenceSet(tuple(ranges)), wanted))


def test_a_refusal_repeats_no_control_characters_and_is_short() -> None:
    assert refuse(b"FETCH \x00\xff\x1b").text == "Expected numbers of messages at: ???"
    assert len(refuse(b"STATUS x (" + b"X" * 9_000 + b")").text) <= 200


def test_the_tag_is_kept_whatever_is_wrong_behind_it() -> None:
    assert play(b"t.1 \x01\r\n")[0][0].tag == b"t.1"  # type: ignore[union-attr]
    assert play(b"+ NOOP\r\n")[0][0].tag == b"*"  # type: ignore[union-attr]
