"""How fast HTML mail is made harmless: a newsletter of some 120 KB, light and dark, beside html5ever alone.

Run: python -m bench.html_pages. Prints a table and one JSON line.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import nh3

from posthouse.mua.plain import render_plain
from posthouse.mua.sanitise import Wishes, sanitise

ROW = (
    '<table style="width:100%%;border:0"><tr><td class="c%d" style="color:#33%d;font-size:%dpx">Words of a newsletter '
    '<b>that people</b> write &amp; <a href="https://example.org/?a=%d&amp;b=2">link to</a></td></tr></table>\n'
)


def make_page(rows: int = 500) -> str:
    sheet = "".join(f".c{number}{{color:red;margin:0 1px;font:12px/1.5 Arial,sans-serif}}\n" for number in range(100))
    body = "".join(ROW % (number % 100, number % 10, 10 + number % 20, number) for number in range(rows))
    return f"<html><head><style>{sheet}</style></head><body bgcolor=#ffffff>{body}</body></html>"


def measure(function: Callable[[], object], runs: int = 7) -> float:
    """Seconds of processor time, the best run."""
    best = float("inf")
    for _ in range(runs):
        started = time.process_time()
        function()
        best = min(best, time.process_time() - started)
    return best


def main() -> None:
    page = make_page()
    text = "A line of text with https://example.org/x in it\n> and one that is quoted, of about that length\n" * 1_000
    cases: dict[str, tuple[int, Callable[[], object]]] = {
        "html, by daylight": (len(page), lambda: sanitise(page)),
        "html, in the dark": (len(page), lambda: sanitise(page, Wishes(is_dark=True))),
        "html, nh3 with its own rules": (len(page), lambda: nh3.clean(page)),
        "plain text": (len(text), lambda: render_plain(text)),
    }
    figures: dict[str, float] = {}
    for name, (size, function) in cases.items():
        taken = measure(function)
        figures[name] = round(size / taken / 1e6, 2)
        print(f"{name:30} {size / 1e3:7.0f} KB {taken * 1e3:8.1f} ms {figures[name]:7.2f} MB/s")
    print(json.dumps({"bench": "html_pages", "mb_per_s": figures}))


if __name__ == "__main__":
    main()
