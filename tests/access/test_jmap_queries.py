"""Filters, sorts, mailboxes and snippets of JMAP (RFC 8621 §2, §4.4, §5)."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.access.jmap.filters import list_tokens, make_search, make_sort, split_text
from posthouse.access.jmap.mailboxes import (
    DEFAULT_PROPERTIES,
    ThreadCounts,
    make_mailbox,
    query_mailboxes,
    write_rights,
)
from posthouse.access.jmap.snippets import make_snippet, mark_preview, mark_text
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, ModSeq, Role, Uid, UidValidity
from posthouse.message.search import (
    All,
    And,
    Contains,
    HasAttachment,
    HasFlag,
    HasHeader,
    InMailbox,
    Larger,
    Not,
    Or,
    ReceivedAt,
    SearchKey,
    Side,
    Smaller,
    SortBy,
    SortKey,
    Where,
)
from posthouse.ms.search import NOTHING
from posthouse.protocol.jmap.arguments import Comparator, read_filter
from posthouse.protocol.jmap.errors import MethodError

OWNER = AccountId(1)
BOXES = [MailboxId(1), MailboxId(2), MailboxId(3)]


def search(members: Mapping[str, object] | None) -> SearchKey:
    return make_search(read_filter(members), OWNER, BOXES)


@pytest.mark.parametrize(
    ("members", "key"),
    [
        (None, All()),
        ({}, All()),
        ({"inMailbox": "F1-2"}, InMailbox(MailboxId(2))),
        ({"inMailbox": "?"}, InMailbox(MailboxId(0))),
        ({"inMailboxOtherThan": ["F1-2"]}, Or((InMailbox(MailboxId(1)), InMailbox(MailboxId(3))))),
        ({"inMailboxOtherThan": ["F1-1", "F1-2", "F1-3"]}, NOTHING),
        ({"before": "1970-01-01T00:01:00Z"}, ReceivedAt(Side.BEFORE, 60.0)),
        ({"after": "1970-01-01T00:01:00Z"}, ReceivedAt(Side.SINCE, 60.0)),
        ({"minSize": 10}, Larger(9)),
        ({"maxSize": 10}, Smaller(10)),
        ({"hasKeyword": "$Flagged"}, HasFlag("\\Flagged")),
        ({"notKeyword": "work"}, Not(HasFlag("work"))),
        ({"hasAttachment": True}, HasAttachment()),
        ({"hasAttachment": False}, Not(HasAttachment())),
        ({"from": "ann"}, Contains(Where.FROM, "ann")),
        ({"subject": "a b"}, And((Contains(Where.SUBJECT, "a"), Contains(Where.SUBJECT, "b")))),
        ({"subject": '"a b"'}, Contains(Where.SUBJECT, "a b")),
        ({"body": "  "}, All()),
        ({"header": ["X-A"]}, HasHeader("X-A")),
        ({"header": ["X-A", "b"]}, HasHeader("X-A", "b")),
        ({"to": "x", "minSize": 1}, And((Larger(0), Contains(Where.TO, "x")))),
        (
            {"operator": "NOT", "conditions": [{"to": "x"}, {"cc": "y"}]},
            Not(Or((Contains(Where.TO, "x"), Contains(Where.CC, "y")))),
        ),
        ({"operator": "AND", "conditions": []}, All()),
        ({"operator": "OR", "conditions": [{"to": "x"}]}, Contains(Where.TO, "x")),
    ],
)
def test_filters_are_searches(members: Mapping[str, object] | None, key: SearchKey) -> None:
    assert search(members) == key


def test_text_is_looked_for_in_the_usual_fields_and_the_body() -> None:
    key = search({"text": "x"})
    assert isinstance(key, Or)
    assert {inner.where for inner in key.of if isinstance(inner, Contains)} == {
        Where.FROM,
        Where.TO,
        Where.CC,
        Where.BCC,
        Where.SUBJECT,
        Where.BODY,
    }


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"colour": "red"}, "invalidArguments"),
        ({"minSize": -1}, "invalidArguments"),
        ({"before": "yesterday"}, "invalidArguments"),
        ({"before": "2014-10-30T14:12:00+08:00"}, "invalidArguments"),
        ({"header": []}, "invalidArguments"),
        ({"header": ["a", "b", "c"]}, "invalidArguments"),
        ({"hasKeyword": "a b"}, "invalidArguments"),
        ({"text": 1}, "invalidArguments"),
        ({"someInThreadHaveKeyword": "$seen"}, "unsupportedFilter"),
    ],
)
def test_filters_that_cannot_be(members: Mapping[str, object], kind: str) -> None:
    with pytest.raises(MethodError) as caught:
        search(members)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", []),
        ("a b", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("'a b' c", ["a b", "c"]),
        ("don't stop", ["don't", "stop"]),
        ('"a \\"b"', ['a "b']),
        ('"open', ['"open']),
        ('""', []),
    ],
)
def test_words_and_phrases(text: str, tokens: list[str]) -> None:
    assert split_text(text) == tokens


def test_sorts() -> None:
    comparators = [Comparator("receivedAt", is_ascending=False), Comparator("from")]
    assert make_sort(comparators) == [SortBy(SortKey.ARRIVAL, True), SortBy(SortKey.DISPLAY_FROM, False)]
    with pytest.raises(MethodError) as caught:
        make_sort([Comparator("colour")])
    assert caught.value.kind == "unsupportedSort"


def test_tokens_of_snippets_are_not_those_below_not() -> None:
    wanted = read_filter(
        {
            "operator": "AND",
            "conditions": [
                {"text": "a", "from": "x"},
                {"operator": "NOT", "conditions": [{"subject": "b"}]},
                {"body": '"c d"'},
            ],
        }
    )
    assert list_tokens(wanted) == ["a", "c d"]
    assert list_tokens(wanted, ("text", "subject")) == ["a"]
    assert list_tokens(None) == []


# -- mailboxes


def make(number: int, name: str, parent: int | None = None, role: Role | None = None, order: int = 0) -> Mailbox:
    return Mailbox(
        MailboxId(number),
        None if parent is None else MailboxId(parent),
        name,
        role,
        UidValidity(1),
        Uid(1),
        ModSeq(1),
        ModSeq(1),
        ModSeq(1),
        total=10,
        unseen=3,
        deleted=2,
        sort_order=order,
    )


INBOX = make(1, "INBOX", role=Role.INBOX)
TREE = [
    INBOX,
    make(2, "work"),
    make(3, "Alpha", 2, order=9),
    make(4, "beta", 2, order=1),
    make(5, "Trash", role=Role.TRASH),
]


def test_a_mailbox() -> None:
    """RFC 8621 §2."""
    told = make_mailbox(OWNER, INBOX, ThreadCounts(7, 2), DEFAULT_PROPERTIES)
    assert told == {
        "id": "F1-1",
        "name": "INBOX",
        "parentId": None,
        "role": "inbox",
        "sortOrder": 0,
        "totalEmails": 8,
        "unreadEmails": 3,
        "totalThreads": 7,
        "unreadThreads": 2,
        "myRights": dict.fromkeys(RIGHTS, True) | {"mayRename": False, "mayDelete": False},
        "isSubscribed": True,
    }
    assert make_mailbox(OWNER, TREE[2], ThreadCounts(), ("id", "parentId", "role")) == {
        "id": "F1-3",
        "parentId": "F1-2",
        "role": None,
    }


RIGHTS = (
    "mayReadItems",
    "mayAddItems",
    "mayRemoveItems",
    "maySetSeen",
    "maySetKeywords",
    "mayCreateChild",
    "mayRename",
    "mayDelete",
    "maySubmit",
)


@pytest.mark.parametrize(
    ("rights", "may"),
    [
        ("", set()),
        ("l", set()),
        ("lr", {"mayReadItems"}),
        ("lrs", {"mayReadItems", "maySetSeen"}),
        ("te", {"mayRemoveItems"}),
        ("t", set()),
        ("ik", {"mayAddItems", "mayCreateChild"}),
        ("x", {"mayRename", "mayDelete"}),
        ("wp", {"maySetKeywords", "maySubmit"}),
        ("lrswipkxtea", set(RIGHTS)),
    ],
)
def test_rights(rights: str, may: set[str]) -> None:
    assert {name for name, is_given in write_rights(TREE[1], rights).items() if is_given} == may


def query(
    members: Mapping[str, object] | None, *sort: Comparator, sort_as_tree: bool = False, filter_as_tree: bool = False
) -> list[int]:
    return [*query_mailboxes(OWNER, TREE, read_filter(members), sort, as_tree=(sort_as_tree, filter_as_tree))]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        (None, [1, 2, 3, 4, 5]),
        ({"parentId": None}, [1, 2, 5]),
        ({"parentId": "F1-2"}, [3, 4]),
        ({"parentId": "?"}, []),
        ({"name": "A"}, [3, 4, 5]),
        ({"role": "trash"}, [5]),
        ({"role": None}, [2, 3, 4]),
        ({"hasAnyRole": True}, [1, 5]),
        ({"isSubscribed": False}, []),
        ({"hasAnyRole": False, "name": "ALPHA"}, [3]),
        ({"operator": "NOT", "conditions": [{"hasAnyRole": True}, {"parentId": "F1-2"}]}, [2]),
        ({"operator": "OR", "conditions": [{"role": "inbox"}, {"name": "beta"}]}, [1, 4]),
    ],
)
def test_mailboxes_are_found(members: Mapping[str, object] | None, found: list[int]) -> None:
    assert query(members) == found


def test_mailboxes_are_sorted() -> None:
    assert query(None, Comparator("name")) == [3, 4, 1, 5, 2]
    assert query(None, Comparator("name", is_ascending=False)) == [2, 5, 1, 4, 3]
    assert query(None, Comparator("sortOrder"), Comparator("name")) == [1, 5, 2, 4, 3]
    assert query(None, Comparator("name"), sort_as_tree=True) == [1, 5, 2, 3, 4]
    with pytest.raises(MethodError):
        query(None, Comparator("colour"))


def test_a_branch_is_shown_when_its_parents_are() -> None:
    assert query({"name": "a"}) == [3, 4, 5]
    assert query({"name": "a"}, filter_as_tree=True) == [5]


@pytest.mark.parametrize("members", [{"colour": 1}, {"hasAnyRole": None}, {"name": None}])
def test_mailbox_filters_that_cannot_be(members: Mapping[str, object]) -> None:
    with pytest.raises(MethodError) as caught:
        query(members)
    assert caught.value.kind == "invalidArguments"


def test_counters_do_not_count_what_is_deleted() -> None:
    assert make_mailbox(OWNER, replace(INBOX, total=5, deleted=5), ThreadCounts(), ("totalEmails",)) == {
        "totalEmails": 0
    }


# -- snippets


def test_the_snippet_of_the_rfc() -> None:
    """RFC 8621 §5.1."""
    snippet = make_snippet("M44", "The Foo is nice", "a <b> foo & more", ["foo"], ["foo"])
    assert snippet.subject == "The <mark>Foo</mark> is nice"
    assert snippet.preview == "a &lt;b&gt; <mark>foo</mark> &amp; more"


def test_nothing_found_is_null() -> None:
    assert mark_text("a", ["b"]) is None
    assert mark_text("a", []) is None
    assert mark_text("a", [" "]) is None
    assert mark_preview("a", ["b"]) is None


def test_a_preview_is_about_what_was_found() -> None:
    preview = mark_preview("word " * 1000 + "needle " + "word " * 1000, ["needle"])
    assert preview is not None and preview.startswith("word ") and "<mark>needle</mark>" in preview
    assert len(preview.encode()) <= 255


MARK = re.compile("</?mark>")


@given(st.text(max_size=400), st.lists(st.text(min_size=1, max_size=3), max_size=4))
def test_a_snippet_holds_nothing_but_marks(text: str, terms: list[str]) -> None:
    marked = mark_text(text, terms)
    if marked is not None:
        assert html.unescape(MARK.sub("", marked)) == text or "&" in text
        assert "<" not in MARK.sub("", marked)
    preview = mark_preview(text, terms)
    if preview is not None:
        assert len(preview.encode("utf-8", "replace")) <= 255
        assert "<" not in MARK.sub("", preview) and preview.count("<mark>") == preview.count("</mark>")
