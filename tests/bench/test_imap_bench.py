"""The pure parts of bench/imap.py: the mail it brings in, and how it reads answers."""

from datetime import timedelta

import pytest

from bench.imap_client import Answer, check_tagged, make_append, read_numbers, split_answer
from bench.imap_corpus import START, list_matches, make_letters
from bench.imap_live import find_quantile
from bench.lab import LabError


def test_the_mail_is_the_same_in_every_run() -> None:
    assert make_letters(50) == make_letters(50)


def test_a_longer_corpus_begins_with_the_shorter_one() -> None:
    assert make_letters(60)[:50] == make_letters(50)


def test_a_third_of_the_mail_has_parts_and_another_third_answers() -> None:
    letters = make_letters(600)
    assert 150 < sum(b"\r\nContent-Type: multipart/" in letter.octets for letter in letters) < 250
    assert 150 < sum(b"\r\nReferences: <" in letter.octets for letter in letters) < 250


def test_an_answer_has_the_subject_of_its_thread() -> None:
    letters = make_letters(300)
    answers = [letter for number, letter in enumerate(letters) if letter.root != number]
    assert answers
    assert all(letter.subject == f"Re: {letters[letter.root].subject}" for letter in answers)


def test_the_rare_word_is_once_in_a_thousand_and_in_the_text_only() -> None:
    letters = make_letters(600)
    rare = [letter for letter in letters if letter.is_rare]
    assert len(rare) == 1
    assert [letter for letter in letters if b"heliotropism" in letter.octets] == rare


def test_no_line_is_longer_than_smtp_allows_and_none_has_a_bare_newline() -> None:
    for letter in make_letters(200):
        assert b"\n" not in letter.octets.replace(b"\r\n", b"")
        assert max(map(len, letter.octets.split(b"\r\n"))) <= 998


def test_matches_are_of_the_sender_and_not_before_the_day() -> None:
    letters, since = make_letters(600), START + timedelta(days=10)
    found = list(list_matches(letters, since=since))
    assert found
    assert all(letters[number - 1].sender == "matilda" and letters[number - 1].date >= since for number in found)


def test_a_literal_that_looks_like_responses_is_part_of_its_response() -> None:
    literal = b"* 2 FETCH (x)\r\nq00001z OK\r\n"
    answer = b"* 1 FETCH (BODY[] {%d}\r\n%b)\r\n* 3 FETCH (UID 3)\r\nq00002z OK done\r\n" % (len(literal), literal)
    assert len(split_answer(answer)) == 3
    assert len(Answer(answer, 0.0).list_untagged(b"FETCH")) == 2


def test_two_literals_of_one_response_are_one_response() -> None:
    answer = b"* 1 FETCH (A {2}\r\n\r\n B {3}\r\nx}\r)\r\nq00002z OK\r\n"
    assert split_answer(answer) == [answer[:-14], b"q00002z OK"]


def test_an_answer_that_ends_within_a_line_is_an_error() -> None:
    with pytest.raises(LabError):
        split_answer(b"* 1 EXISTS\r\n* 2 EX")


def test_numbers_of_a_search_without_matches_are_none() -> None:
    assert read_numbers([b"* SEARCH"]) == []
    assert read_numbers([b"* SORT 3 1 2"]) == [3, 1, 2]


def test_a_refused_command_is_an_error() -> None:
    check_tagged(b"* 1 EXISTS\r\nq00001z OK done\r\n", b"q00001z", "SELECT")
    with pytest.raises(LabError):
        check_tagged(b"* 1 EXISTS\r\nq00001z NO no\r\n", b"q00001z", "SELECT")
    with pytest.raises(LabError):
        check_tagged(b"q00001z BAD what\r\n", b"q00001z", "SELECT")


def test_an_append_says_when_the_message_came() -> None:
    letter = make_letters(1)[0]
    frame = make_append(b"q00001z", letter.octets, letter.date)
    assert frame.startswith(b'q00001z APPEND INBOX "06-Jan-2025 ')
    assert frame.endswith(b"{%d+}\r\n%b\r\n" % (len(letter.octets), letter.octets))


def test_quantiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert find_quantile(values, 0.99) == 99.0
    assert find_quantile(values, 0.5) == 50.0
    assert find_quantile([7.0], 0.98) == 7.0
