"""Exporting to mbox files, one for each mailbox: `Work/2024.mbox`.

The form is mboxrd with LF, as other programs read it. Behind its "From " line a message of ours carries its size,
INTERNALDATE, zone and flags (X-Posthouse, Status, X-Status, X-Keywords), so that adapters/mbox.py gives it back octet
by octet. A message that LF cannot carry (a bare LF, CR CR LF) stands with CRLF, its "From " line too.

A file is called `.part` until it is whole; an export that goes on writes the one it was at again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import BinaryIO

from posthouse.adapters.export_folder import as_transfer_error, close_folder, file_name, open_folder
from posthouse.adapters.mbox import STATUS_LETTERS
from posthouse.ports.transfer import Leaving

_FROM_LINE = re.compile(rb"^(>*From )", re.MULTILINE)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EVERYTHING = 1 << 32
_LETTERS = {flag: letter for letter, flag in STATUS_LETTERS.items()}


class MboxSink:
    """A `ports.transfer.Sink`. Keywords are all kept."""

    lost_keywords = 0

    def __init__(self, directory: str, account: str) -> None:
        self._root = directory
        self._file: BinaryIO | None = None
        self._name = ""
        open_folder(directory, f"mbox {account}\n")

    def open_mailbox(self, path: tuple[str, ...]) -> int:
        try:
            self._close()
            name = "/".join([self._root, *(file_name(part, "./~") for part in path)]) + ".mbox"
            os.makedirs(os.path.dirname(name), 0o700, exist_ok=True)
            if os.path.exists(name):
                return _EVERYTHING
            self._name = name
            self._file = open(f"{name}.part", "wb")  # noqa: SIM115
        except OSError as error:
            raise as_transfer_error(error) from error
        return 0

    def write(self, messages: Sequence[Leaving]) -> None:
        assert self._file is not None
        try:
            for message in messages:
                self._file.write(format_message(message))
        except OSError as error:
            raise as_transfer_error(error) from error

    def finish(self) -> None:
        try:
            self._close()
        except OSError as error:
            raise as_transfer_error(error) from error
        close_folder(self._root)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            os.rename(f"{self._name}.part", self._name)
            self._file = None


def format_message(message: Leaving) -> bytes:
    octets = message.octets.replace(b"\r\n", b"\n")
    count = message.octets.count(b"\r\n")
    end = b"\n"
    if b"\r\n" in octets or octets.count(b"\n") != count:
        octets, end = message.octets, b"\r\n"
    if b"From " in octets:
        octets = _FROM_LINE.sub(rb">\1", octets)
    status = "".join(letter for flag, letter in _LETTERS.items() if flag in message.flags)
    keywords = " ".join(flag for flag in message.flags if not flag.startswith("\\"))
    at = datetime.fromtimestamp(message.received, UTC)
    lines = (
        f"From MAILER-DAEMON {_DAYS[at.weekday()]} {_MONTHS[at.month - 1]} {at.day:2} {at:%H:%M:%S} {at.year:04}",
        f"X-Posthouse: size={len(message.octets)} received={message.received:.6f} zone={message.zone_minutes}",
        f"Status: {'R' if 'R' in status else ''}O",
        f"X-Status: {status.replace('R', '')}",
        f"X-Keywords: {keywords}",
    )
    closing = end if octets.endswith(b"\n") else end + end
    return b"".join([*(line.encode() + end for line in lines), octets, closing])
