"""The order of relevance (RFC 6203 §4): BM25 over the emails that were found, and over nothing else.

FTS5 has a bm25 of its own. It counts in how many rows of the index a word stands, and these belong to every account of
the shard: the order of one's own mail would tell of other people's. It also knows nothing of mail that is not indexed
yet. What is found here has been read to verify it, so counting in its text costs little. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.message.search import And, Contains, Or, SearchKey, Where
from posthouse.ms.search import Texts, index_words

_SATURATION, _BY_LENGTH = 1.2, 0.75  # k1 and b, as everywhere

Term = tuple[Where, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each term stands in an email, and how long the texts are that were looked at."""

    of_terms: tuple[int, ...]
    length: int


def list_terms(program: SearchKey) -> list[Term]:
    """What is searched for, not what must not stand there."""
    match program:
        case And(of) | Or(of):
            return list(dict.fromkeys(term for key in of for term in list_terms(key)))
        case Contains(where, _, _):
            return [(where, word) for word in index_words(program) if word]
        case _:
            return []


def count_terms(terms: Sequence[Term], texts: Texts) -> Counts:
    length = sum(len(texts.text(where)) for where in {where for where, _ in terms})
    return Counts(tuple(texts.text(where).count(word) for where, word in terms), length)


def rank(found: Sequence[Counts]) -> list[float]:
    """A score for each; more is more relevant."""
    usual = sum(counts.length for counts in found) / len(found) if found else 0.0
    weights = [_weigh(len(found), column) for column in zip(*(counts.of_terms for counts in found), strict=True)]
    return [_score(counts, weights, usual or 1.0) for counts in found]


def _weigh(total: int, counts: Sequence[int]) -> float:
    """A word that few of them have says more."""
    having = sum(1 for count in counts if count)
    return math.log1p((total - having + 0.5) / (having + 0.5))


def _score(counts: Counts, weights: Sequence[float], usual: float) -> float:
    damping = _SATURATION * (1 - _BY_LENGTH + _BY_LENGTH * counts.length / usual)
    return sum(
        weight * count * (_SATURATION + 1) / (count + damping)
        for weight, count in zip(weights, counts.of_terms, strict=True)
    )
