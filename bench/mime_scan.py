"""How many messages a second the MIME scanner reads, 2 to 50 KB each, beside the standard library's parser.

Run: python bench/mime_scan.py. Prints a table and one JSON line.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import compat32

from posthouse.message.mime import scan_structure
from posthouse.message.parse import parse_message


def make_plain() -> bytes:
    """2 KiB: the usual header and text."""
    head = make_message().partition(b"\r\n\r\n")[0].replace(b"multipart/mixed", b"text/plain")
    return head + b"\r\n\r\n" + b"A line of text that is about seventy characters long, as they are here.\r\n" * 19


def make_message(repeat: int = 12) -> bytes:
    """4 KiB with `repeat` 12: multipart/mixed with an alternative of text and HTML, an attachment, a usual header."""
    trace = b"".join(
        b"Received: from a%d.example.org (a.example.org [192.0.2.%d])\r\n"
        b"\tby b.example.net (Postfix) with ESMTPS id 4XyzAbc%d;\r\n\tTue, 24 Nov 2026 03:52:01 +0000\r\n" % (n, n, n)
        for n in range(3)
    )
    head = (
        b"From: A Sender <a@example.org>\r\nTo: B <b@example.net>\r\nSubject: A message\r\n"
        b"Message-ID: <1234.5678@example.org>\r\nDate: Tue, 24 Nov 2026 03:52:01 +0000\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="----=_outer_42"\r\n\r\n'
    )
    text = b"A line of text that is about seventy characters long, as they are here.\r\n" * repeat
    page = b"<p>A line of text that is about seventy characters long, as they are.</p>\r\n" * repeat
    data = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n" * repeat
    body = (
        b'------=_outer_42\r\nContent-Type: multipart/alternative; boundary="----=_inner_42"\r\n\r\n'
        b"------=_inner_42\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + text + b"\r\n"
        b"------=_inner_42\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page + b"\r\n------=_inner_42--\r\n"
        b"------=_outer_42\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + data
        + b"------=_outer_42--\r\n"
    )
    return trace + head + body


def measure(function: Callable[[bytes], object], message: bytes, seconds: float) -> float:
    """Calls per second, best of three runs."""
    best = 0.0
    for _ in range(3):
        count, started = 0, time.perf_counter()
        while (taken := time.perf_counter() - started) < seconds / 3:
            for _ in range(20):
                function(message)
            count += 20
        best = max(best, count / taken)
    return best


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    messages = [make_plain(), make_message(), make_message(40), make_message(100), make_message(220)]
    ratios = []
    for message in messages:
        ours = measure(scan_structure, message, seconds / 3)
        whole = measure(parse_message, message, seconds / 3)
        theirs = measure(BytesParser(policy=compat32).parsebytes, message, seconds / 3)
        ratios.append(ours / theirs)
        print(
            f"{len(message):7,} octets: scan {1e6 / ours:7.1f} us, BytesParser {1e6 / theirs:8.1f} us, "
            f"{ratios[-1]:5.1f} x; parse_message {1e6 / whole:7.1f} us"
        )
    print(json.dumps({"ratio": round(statistics.geometric_mean(ratios), 1), "must": 10}))


if __name__ == "__main__":
    main()
