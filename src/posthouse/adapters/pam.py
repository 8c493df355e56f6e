"""PAM as a source of passwords: the host's own modules decide (LDAP, SSSD, winbind, a Berkeley DB, a script).

A small binding of Linux-PAM's application interface. Modules may block for seconds, so each check runs in a thread of
a bounded pool (`Compute`) and has a deadline; what comes later is thrown away. The delay that modules ask for after a
wrong password is refused, it would only hold a thread: slowing down is trust/throttle's business.

Workers are not root. pam_unix reads /etc/shadow, which only root may, and so refuses everybody but the user that the
server runs as. PAM takes the service "other" when there is no file for ours, which is told in the log.

Trusts the modules, which run in this process. The login name is the client's: NUL and control characters never come
here (RFC 4013), and no name is ever a part of a path. Nothing durable.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from functools import partial
from typing import Final, Protocol

from posthouse.adapters.login_names import fill_in
from posthouse.ports.compute import Compute
from posthouse.ports.credentials import SourceAnswer
from posthouse.ports.observe import Log

SUCCESS: Final = 0
# perm_denied, auth_err, cred_insufficient, user_unknown, maxtries, new_authtok_reqd, acct_expired
REFUSALS: Final = frozenset({6, 7, 8, 10, 11, 12, 13})
_CONVERSATION_FAILED: Final = 19
_OUT_OF_MEMORY: Final = 5
_ECHO_OFF, _ECHO_ON = 1, 2
_FAIL_DELAY: Final = 10  # an item: the function that waits
_FLAGS: Final = 0x8000 | 0x0001  # PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK
_SERVICES: Final = "/etc/pam.d"


class Pam(Protocol):
    def authenticate(self, service: str, user: str, password: str) -> int:
        """PAM's result of authenticating and of asking whether the account is good. Blocks. Raises OSError."""


class PamSource:
    """`user` is what PAM is asked about, with {address}, {local} and {domain} of the account."""

    name = "pam"

    def __init__(self, service: str, user: str, pam: Pam, compute: Compute, deadline_s: float, log: Log) -> None:
        self._service, self._user = service, user
        self._pam, self._compute, self._deadline_s, self._log = pam, compute, deadline_s, log

    async def check(self, login: str, password: str) -> SourceAnswer:
        if not password:
            return SourceAnswer.NO
        user = fill_in(self._user, login)
        try:
            async with asyncio.timeout(self._deadline_s):
                code = await self._compute.run(partial(self._pam.authenticate, self._service, user, password))
        except TimeoutError:
            self._log.warning("PAM did not answer in time", service=self._service)
            return SourceAnswer.UNAVAILABLE
        except OSError as error:
            self._log.error("PAM cannot be used", service=self._service, reason=str(error))
            return SourceAnswer.UNAVAILABLE
        if code == SUCCESS:
            return SourceAnswer.YES
        if code in REFUSALS:
            return SourceAnswer.NO
        self._log.warning("PAM cannot tell", service=self._service, code=code)
        return SourceAnswer.UNAVAILABLE


def has_service(service: str, directory: str = _SERVICES) -> bool:
    return os.path.exists(os.path.join(directory, service))


class _Message(Structure):
    _fields_ = [("style", c_int), ("text", c_char_p)]


class _Response(Structure):
    _fields_ = [("text", c_void_p), ("code", c_int)]


_Converse = CFUNCTYPE(c_int, c_int, POINTER(POINTER(_Message)), POINTER(c_void_p), c_void_p)
_Delay = CFUNCTYPE(None, c_int, c_uint, c_void_p)


class _Conversation(Structure):
    _fields_ = [("function", _Converse), ("data", c_void_p)]


_never_wait = _Delay(lambda _code, _microseconds, _data: None)


class LibPam:
    """`directory` is read instead of /etc/pam.d (Linux-PAM 1.4 and later)."""

    def __init__(self, library: str = "libpam.so.0", directory: str = "") -> None:
        self._library, self._directory = library, directory
        self._loaded: tuple[ctypes.CDLL, ctypes.CDLL] | None = None

    def authenticate(self, service: str, user: str, password: str) -> int:
        pam, libc = self._load()
        converse = _Converse(partial(_answer, libc, password.encode()))  # has to outlive the calls below
        handle = c_void_p()
        code = self._start(pam, service, user, _Conversation(converse, None), handle)
        if code != SUCCESS:
            return code
        try:
            pam.pam_set_item(handle, _FAIL_DELAY, ctypes.cast(_never_wait, c_void_p))
            code = int(pam.pam_authenticate(handle, _FLAGS))
            return code if code != SUCCESS else int(pam.pam_acct_mgmt(handle, _FLAGS))
        finally:
            pam.pam_end(handle, code)

    def _start(self, pam: ctypes.CDLL, service: str, user: str, conversation: _Conversation, handle: c_void_p) -> int:
        words = (service.encode(), user.encode(), byref(conversation))
        if self._directory:
            return int(pam.pam_start_confdir(*words, self._directory.encode(), byref(handle)))
        return int(pam.pam_start(*words, byref(handle)))

    def _load(self) -> tuple[ctypes.CDLL, ctypes.CDLL]:
        if self._loaded is None:
            pam, libc = ctypes.CDLL(self._library), ctypes.CDLL(None)
            libc.calloc.restype, libc.calloc.argtypes = c_void_p, [c_size_t, c_size_t]
            libc.strdup.restype, libc.strdup.argtypes = c_void_p, [c_char_p]
            pam.pam_set_item.argtypes = [c_void_p, c_int, c_void_p]
            for function in (pam.pam_authenticate, pam.pam_acct_mgmt, pam.pam_end):
                function.argtypes = [c_void_p, c_int]
            self._loaded = pam, libc
        return self._loaded


def _answer(
    libc: ctypes.CDLL,
    password: bytes,
    count: int,
    messages: ctypes._Pointer[ctypes._Pointer[_Message]],
    responses: ctypes._Pointer[c_void_p],
    _data: object,
) -> int:
    """The password where it is asked for without echo; libpam frees what is given. A question with echo ends it."""
    styles = [int(messages[index].contents.style) for index in range(count)]
    if _ECHO_ON in styles:
        return _CONVERSATION_FAILED
    block = libc.calloc(count, ctypes.sizeof(_Response))
    if not block:
        return _OUT_OF_MEMORY
    answers = ctypes.cast(block, POINTER(_Response))
    for index, style in enumerate(styles):
        if style == _ECHO_OFF:
            answers[index].text = libc.strdup(password)
    responses[0] = block
    return SUCCESS
