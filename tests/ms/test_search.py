"""Search programs: what they cost, and what a part of them says about the whole."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import EmailId, KeywordTable, MailboxId, ThreadId
from posthouse.message.search import (
    All,
    And,
    Contains,
    HasFlag,
    HasHeader,
    Larger,
    Not,
    Or,
    SearchKey,
    Smaller,
    Where,
)
from posthouse.ms.search import (
    NOTHING,
    EmailFacts,
    compile_search,
    cost,
    day_of,
    index_words,
    is_column_key,
    is_index_key,
    plan_search,
    score,
    widen,
)

TABLE = KeywordTable(("$Work",))


class FakeTexts:
    """`asked`: what was asked for, in order."""

    def __init__(self, text: str = "") -> None:
        self._text = fold_case(text)
        self.asked: list[Where] = []

    def text(self, where: Where) -> str:
        self.asked.append(where)
        return self._text

    def header(self, name: str) -> list[str]:
        return [self._text]

    def sent_day(self) -> date | None:
        return None


def make_facts(text: str = "", flags: int = 0, size: int = 100) -> EmailFacts:
    return EmailFacts(
        EmailId(1), ThreadId(1), 1, (MailboxId(1),), flags, 1, (0.0,), 0.0, 0, size, False, FakeTexts(text)
    )


def matches(program: SearchKey, facts: EmailFacts) -> bool:
    return compile_search(program, TABLE)(facts)


def test_no_text_is_looked_at_when_a_flag_says_no() -> None:
    facts = make_facts("hello")
    body = Contains(Where.BODY, "hello")
    assert not matches(And((body, HasFlag("\\Seen"))), facts)
    assert matches(Or((body, Smaller(1000))), facts)
    assert isinstance(facts.texts, FakeTexts)
    assert facts.texts.asked == []


def test_the_dearest_key_is_the_cost() -> None:
    assert cost(And((Larger(1), Contains(Where.SUBJECT, "x")))) == 1
    assert cost(Not(HasHeader("X"))) == 2
    assert cost(Or((All(), Contains(Where.TEXT, "x")))) == 3
    assert cost(And(())) == 0


def test_a_plan_says_what_columns_and_an_index_can_narrow() -> None:
    body, flag = Contains(Where.BODY, "hello"), HasFlag("$Work")
    plan = plan_search(And((body, flag, Not(Larger(5)))))
    assert (plan.columns, plan.index, plan.is_exact, plan.needs_octets) == (
        And((flag, Not(Larger(5)))),
        body,
        False,
        True,
    )
    plan = plan_search(Or((body, flag)))
    assert (plan.columns, plan.index) == (All(), All())
    plan = plan_search(Not(body))
    assert (plan.columns, plan.index) == (All(), All())
    assert plan_search(flag).is_exact
    assert plan_search(Not(Or((flag, body)))).columns == Not(flag)


def test_texts_too_short_for_an_index_are_not_asked_of_it() -> None:
    assert not is_index_key(Contains(Where.BODY, "ab"))
    assert is_index_key(Contains(Where.BODY, "abc"))
    assert index_words(Contains(Where.BODY, "big cat", is_fuzzy=True)) == ["BIG", "CAT"]
    assert index_words(Contains(Where.BODY, "big cat")) == ["BIG CAT"]


KEYS = st.sampled_from(
    [All(), NOTHING, HasFlag("\\Seen"), Larger(50), Contains(Where.BODY, "abc"), Contains(Where.BODY, "b")]
)
PROGRAMS = st.recursive(
    KEYS,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(And, st.lists(inner, max_size=3).map(tuple))
        | st.builds(Or, st.lists(inner, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@given(PROGRAMS, st.sampled_from(["", "abc", "b", "xbx"]), st.sampled_from([0, 1]), st.sampled_from([10, 90]))
def test_what_is_widened_is_true_wherever_the_program_is(program: SearchKey, text: str, flags: int, size: int) -> None:
    facts = make_facts(text, flags, size)
    for keeps in (is_column_key, is_index_key):
        wide = widen(program, keeps)
        assert matches(wide, facts) or not matches(program, facts)
    assert widen(program, lambda key: True) == program or matches(program, facts) == matches(
        widen(program, lambda key: True), facts
    )


def test_fuzzy_words_may_stand_anywhere() -> None:
    facts = make_facts("the cat is big")
    assert matches(Contains(Where.BODY, "big cat", is_fuzzy=True), facts)
    assert not matches(Contains(Where.BODY, "big cat"), facts)


def test_the_score_counts_what_is_found() -> None:
    facts = make_facts("cat cat dog")
    assert score(And((Contains(Where.BODY, "cat"), Not(Contains(Where.BODY, "dog")))), facts) == 2


def test_a_day_is_that_of_the_clock_in_its_zone() -> None:
    assert day_of(1_700_004_000.0) == date(2023, 11, 14)
    assert day_of(1_700_004_000.0, 60) == date(2023, 11, 15)
    assert (day_of(1e18), day_of(-1e18)) == (date.max, date.min)
