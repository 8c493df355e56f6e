"""How a command ends that is refused: `Err` is its -ERR line, and the store's refusals in POP3's words."""

from __future__ import annotations

from posthouse.ports.directory import DirectoryError
from posthouse.ports.store import NoSuchAccount, StoreError, StoreRefusal
from posthouse.protocol.pop3.replies import SYS_PERM, SYS_TEMP


class Err(Exception):
    """-ERR. `code` of RFC 2449 §8 and RFC 3206, "" without one. `is_mistake`: the client is to blame."""

    def __init__(self, text: str, code: str = "", *, is_mistake: bool = True) -> None:
        super().__init__(text)
        self.text, self.code, self.is_mistake = text, code, is_mistake


class Broken(Exception):
    """A message cannot be read to its end, and its beginning has been sent: only closing tells the client."""


EXPECTED = (StoreError, StoreRefusal, DirectoryError)


def refusal_of(error: Exception) -> Err:
    if isinstance(error, NoSuchAccount):
        return Err("The account has gone", SYS_PERM, is_mistake=False)
    return Err("Not possible now, try again later", SYS_TEMP, is_mistake=False)
