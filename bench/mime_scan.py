"""How many messages a second the MIME scanner reads, beside the standard library's parser.

Run: python bench/mime_scan.py. Prints a table and one JSON line.
"""

from __future__ import annotations

import email
import json
import sys
import time
from collections.abc import Callable

from posthouse.message.header import inspect_head
from posthouse.message.mime import scan_structure


def make_message() -> bytes:
    """4 KiB: multipart/mixed with an alternative of text and HTML and an attachment, and a usual header."""
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
    text = b"A line of text that is about seventy characters long, as they are here.\r\n" * 12
    page = b"<p>A line of text that is about seventy characters long, as they are.</p>\r\n" * 12
    data = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n" * 12
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
    message = make_message()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    rows = {
        "scan_structure": measure(scan_structure, message, seconds),
        "inspect_head": measure(inspect_head, message, seconds),
        "email.message_from_bytes": measure(email.message_from_bytes, message, seconds),
    }
    for name, rate in rows.items():
        print(f"{name:28} {rate:10,.0f} messages/s  {1e6 / rate:8.1f} us")
    print(json.dumps({"octets": len(message), **{name: round(rate) for name, rate in rows.items()}}))


if __name__ == "__main__":
    main()
