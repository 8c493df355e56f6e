"""What an SMTP or LMTP service is like: limits and extensions, one object for all sessions of a listener.

The EHLO keywords and the parameters that go with them are worked out once here, so that what is offered and what is
understood cannot differ: a keyword in `hidden` is neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from posthouse.protocol.smtp.xclient import XCLIENT_NAMES
from posthouse.protocol.wire.text import TextLimits


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Sizes in octets; 0 is no limit, except for `max_line`, `max_recipients`, `max_errors` and `max_commands`.

    `max_commands` and `max_errors` count since the last message that was taken; MAIL, RCPT, DATA and BDAT are no
    commands in that sense. `hidden` holds EHLO keywords that are switched off.
    """

    hostname: str
    lmtp: bool = False
    max_size: int = 50 * 1024 * 1024
    max_line: int = 2048  # RFC 5321 §4.5.3.1.4 wants 512, the extensions about 1,000 more
    max_text_line: int = 1_000_000
    max_header_size: int = 1024 * 1024
    max_recipients: int = 1000
    max_commands: int = 100
    max_errors: int = 20
    max_messages: int = 0
    command_timeout_s: float = 300.0  # RFC 5321 §4.5.3.2.7
    body_timeout_s: float = 180.0  # RFC 5321 §4.5.3.2.5
    pipelining: bool = True
    chunking: bool = True
    smtputf8: bool = True
    dsn: bool = True
    etrn: bool = True
    limits: bool = True
    mt_priority: bool = False
    future_release: str = ""  # longest time in seconds SP latest point in time (RFC 4865 §4); "": not offered
    deliver_by: bool = False
    auth: bool = False  # people log in here (server_auth.py)
    max_failed_logins: int = 5  # in one session; then 421
    hidden: frozenset[str] = frozenset()
    keywords: tuple[str, ...] = field(init=False, repr=False, compare=False)
    mail_parameters: frozenset[str] = field(init=False, repr=False, compare=False)
    rcpt_parameters: frozenset[str] = field(init=False, repr=False, compare=False)
    size_taken_unasked: int = field(init=False, repr=False, compare=False)  # -1 while SIZE is hidden
    text_limits: TextLimits = field(init=False, repr=False, compare=False)
    binary_limits: TextLimits = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keywords = tuple(word for word in self._list_keywords() if word.split(" ")[0] not in self.hidden)
        offered = {word.split(" ")[0] for word in keywords}
        mail: list[str] = []
        for keyword, names in (
            ("SIZE", ("SIZE",)),
            ("8BITMIME", ("BODY",)),
            ("SMTPUTF8", ("SMTPUTF8",)),
            ("DSN", ("RET", "ENVID")),
            ("MT-PRIORITY", ("MT-PRIORITY",)),
            ("FUTURERELEASE", ("HOLDFOR", "HOLDUNTIL")),
            ("DELIVERBY", ("BY",)),
        ):
            mail.extend(names if keyword in offered else ())
        mail.extend(("AUTH",) if self.auth else ())
        text = TextLimits(self.max_size, self.max_text_line, self.max_header_size)
        largest = self.max_size or 10**20  # as many digits as RFC 1870 §4 allows
        object.__setattr__(self, "size_taken_unasked", largest if "SIZE" in offered else -1)
        object.__setattr__(self, "text_limits", text)
        object.__setattr__(self, "binary_limits", replace(text, is_binary=True))
        object.__setattr__(self, "keywords", keywords)
        object.__setattr__(self, "mail_parameters", frozenset(mail))
        object.__setattr__(self, "rcpt_parameters", frozenset(("NOTIFY", "ORCPT") if "DSN" in offered else ()))

    def _list_keywords(self) -> list[str]:
        limits = f"LIMITS RCPTMAX={self.max_recipients}"  # RFC 9422 §4
        if self.max_messages:
            limits += f" MAILMAX={self.max_messages}"
        switches = (
            (self.pipelining, "PIPELINING"),
            (True, f"SIZE {self.max_size}"),
            (self.etrn and not self.lmtp, "ETRN"),
            (True, "ENHANCEDSTATUSCODES"),
            (True, "8BITMIME"),
            (self.dsn, "DSN"),
            (self.smtputf8, "SMTPUTF8"),
            (self.chunking, "CHUNKING"),
            (self.chunking, "BINARYMIME"),
            (self.limits, limits),
            (self.mt_priority, "MT-PRIORITY"),
            (bool(self.future_release), f"FUTURERELEASE {self.future_release}"),
            (self.deliver_by, "DELIVERBY"),
            (True, "HELP"),
        )
        return [word for is_on, word in switches if is_on]

    def offers(self, keyword: str) -> bool:
        return any(word.split(" ")[0] == keyword for word in self.keywords)

    def list_keywords(self, *, tls: bool, xclient: bool) -> list[str]:
        """The keywords of an EHLO reply; `tls`: STARTTLS is possible now, `xclient`: this client may use it."""
        keywords = list(self.keywords)
        if tls and "STARTTLS" not in self.hidden:
            keywords.insert(-1, "STARTTLS")  # RFC 3207 §4.2: not once TLS is active
        if xclient:
            keywords.insert(-1, f"XCLIENT {' '.join(XCLIENT_NAMES)}")
        return keywords
