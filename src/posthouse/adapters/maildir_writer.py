"""Exporting to a Maildir++ that Dovecot and Courier read: INBOX in the directory itself, others as ".Work.2024".

Messages are written as they are, with CRLF. The time of a file is INTERNALDATE, its name begins with the UID, so that
the order stays. Each is written in tmp/ and renamed: what has its name is whole (but durable only after `finish`). The
form has 26 keywords for each folder: messages that have others as well are counted in `lost_keywords`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from posthouse.adapters.export_folder import as_transfer_error, close_folder, file_name, open_folder
from posthouse.ports.transfer import Leaving

_LETTERS = {
    "\\Draft": "D",
    "\\Flagged": "F",
    "\\Answered": "R",
    "\\Seen": "S",
    "\\Deleted": "T",
}
_MAX_KEYWORDS = 26


class MaildirSink:
    """A `ports.transfer.Sink`."""

    def __init__(self, directory: str, account: str) -> None:
        self._root = self._directory = directory
        self._keywords: list[str] = []
        self.lost_keywords = 0
        open_folder(directory, f"maildir {account}\n")

    def open_mailbox(self, path: tuple[str, ...]) -> int:
        try:
            return self._open(path)
        except OSError as error:
            raise as_transfer_error(error) from error

    def _open(self, path: tuple[str, ...]) -> int:
        if path == ("INBOX",):
            self._directory = self._root
        else:
            self._directory = f"{self._root}/.{'.'.join(file_name(name, './~') for name in path)}"
            os.makedirs(self._directory, 0o700, exist_ok=True)
            with open(f"{self._directory}/maildirfolder", "w", encoding="ascii"):
                pass
        for part in ("cur", "new", "tmp"):
            os.makedirs(f"{self._directory}/{part}", 0o700, exist_ok=True)
        temporary = os.path.join(self._directory, "tmp")
        for name in os.listdir(temporary):
            os.unlink(os.path.join(temporary, name))
        self._keywords = self._read_keywords()
        return max((int(name.partition(".")[0]) for name in os.listdir(f"{self._directory}/cur")), default=0)

    def _read_keywords(self) -> list[str]:
        """Of an export that goes on."""
        try:
            with open(f"{self._directory}/dovecot-keywords", encoding="utf-8") as lines:
                return [line.rstrip("\n").partition(" ")[2] for line in lines]
        except FileNotFoundError:
            return []

    def write(self, messages: Sequence[Leaving]) -> None:
        try:
            for message in messages:
                self._write_one(message)
        except OSError as error:
            raise as_transfer_error(error) from error

    def _write_one(self, message: Leaving) -> None:
        letters = self._write_flags(message.flags)
        name = f"{message.name}.posthouse,S={len(message.octets)}"
        temporary = os.path.join(self._directory, "tmp", name)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            rest = memoryview(message.octets)
            while rest:
                rest = rest[file.write(rest) or 0 :]
            at = round(message.received * 1e6) * 1000
            os.utime(file.fileno(), ns=(at, at))
        os.rename(temporary, f"{self._directory}/cur/{name}:2,{letters}")

    def _write_flags(self, flags: Sequence[str]) -> str:
        letters, is_whole = ["P"] if "$Forwarded" in flags else [], True  # for others; Dovecot wants a keyword
        for flag in flags:
            letter = _LETTERS.get(flag) or self._keyword_letter(flag)
            letters.append(letter)
            is_whole = is_whole and letter != ""
        self.lost_keywords += not is_whole
        return "".join(sorted(letters))

    def _keyword_letter(self, keyword: str) -> str:
        """ "" when there is none left."""
        if keyword not in self._keywords:
            if len(self._keywords) == _MAX_KEYWORDS:
                return ""
            with open(f"{self._directory}/dovecot-keywords", "a", encoding="utf-8") as file:
                file.write(f"{len(self._keywords)} {keyword}\n")
            self._keywords.append(keyword)
        return chr(ord("a") + self._keywords.index(keyword))

    def finish(self) -> None:
        close_folder(self._root)
