"""What a status code means to the person whose mail did not arrive, in plain words (RFC 3463, RFC 5248).

One table: the most exact entry wins, `class.subject.detail` before `.subject.detail` before `.subject`.
"""

from __future__ import annotations

from typing import NamedTuple


class Hint(NamedTuple):
    """`what` happened and what the sender can `do` about it; full sentences."""

    what: str
    do: str


_ASK_THEM = "Reach the recipient another way and tell them; only they or their provider can change this."
_ASK_OURS = "Show this report to the people who run your mail system."

_TABLE: dict[str, Hint] = {
    ".1.1": Hint(
        "There is no such mailbox.", "Check the part before the @ for typing errors, or ask for the new address."
    ),
    ".1.2": Hint(
        "The domain in the address does not exist or takes no mail.", "Check the part behind the @ for typing errors."
    ),
    ".1.3": Hint("The address is not written correctly.", "Check the address for typing errors."),
    ".1.6": Hint("The mailbox has moved and left no new address.", "Ask the recipient for the new address."),
    ".1.8": Hint("The other server does not accept the sender's domain.", _ASK_OURS),
    ".1.10": Hint(
        "The domain in the address does not take any mail.", "Check the part behind the @ for typing errors."
    ),
    ".2.1": Hint("The mailbox is switched off and takes no mail.", _ASK_THEM),
    ".2.2": Hint("The mailbox is full.", "Try again in a few days, or reach the recipient another way and tell them."),
    ".2.3": Hint(
        "The message is larger than this mailbox allows.", "Send less, or send a link instead of an attachment."
    ),
    ".2.4": Hint("The mailing list behind this address does not work.", _ASK_THEM),
    ".3.1": Hint("The other server has run out of disk space.", "Try again later."),
    ".3.2": Hint("The other server takes no mail at the moment.", "Try again later."),
    ".3.4": Hint(
        "The message is larger than the other server takes.", "Send less, or send a link instead of an attachment."
    ),
    ".4.1": Hint(
        "The other server does not answer.", "Check the part behind the @ for typing errors, or try again later."
    ),
    ".4.2": Hint("The connection to the other server broke off.", "Try again later."),
    ".4.3": Hint("The directory that says where this mail goes could not be read.", "Try again later."),
    ".4.4": Hint(
        "No way to the recipient's domain could be found in the DNS.",
        "Check the part behind the @ for typing errors, or try again later.",
    ),
    ".4.5": Hint("The other server is too busy.", "Try again later."),
    ".4.6": Hint("The message goes round in circles: servers or forwarding rules point at each other.", _ASK_OURS),
    ".4.7": Hint(
        "The other server could not be reached, or did not take the message, during the whole time we tried.",
        "Check the part behind the @ for typing errors, try again later, or reach the recipient another way.",
    ),
    ".5.3": Hint("The message has too many recipients.", "Send it to fewer people at a time."),
    ".6.1": Hint("The other server does not accept this kind of content.", "Send it in another format."),
    ".6.3": Hint(
        "The message would have to be changed to pass, and as it is signed or encrypted it must not be.",
        "Send it without signature or encryption, or without special characters.",
    ),
    ".6.7": Hint(
        "The other server does not understand addresses or headers with letters beyond ASCII.",
        "Use an address in plain ASCII letters, if the recipient has one.",
    ),
    ".7.0": Hint("The other server refuses the message by its rules.", _ASK_OURS),
    ".7.1": Hint("The other server refuses the message by its rules.", _ASK_OURS),
    ".7.8": Hint("We could not log in at the other server.", _ASK_OURS),
    ".7.10": Hint("A secure connection to the other server is required and could not be made.", _ASK_OURS),
    ".7.20": Hint("The other server found no valid signature (DKIM) on the message.", _ASK_OURS),
    ".7.23": Hint("The other server does not accept our server as a sender for your domain (SPF).", _ASK_OURS),
    ".7.25": Hint("The other server misses a valid reverse DNS name of our server.", _ASK_OURS),
    ".7.26": Hint("The message did not pass the other server's authentication checks (SPF, DKIM).", _ASK_OURS),
    ".1": Hint("The address was not accepted.", "Check the address for typing errors."),
    ".2": Hint("The mailbox does not take the message.", _ASK_THEM),
    ".3": Hint("The other mail system has a problem.", "Try again later."),
    ".4": Hint("The other server could not be reached.", "Try again later."),
    ".5": Hint("The two mail servers did not understand each other.", _ASK_OURS),
    ".6": Hint("The other server does not accept the content of the message.", "Send it in another format."),
    ".7": Hint("The other server refuses the message by its rules.", _ASK_OURS),
}
_UNKNOWN = Hint(
    "The other server did not accept the message.",
    "Read its answer below; if it does not help, " + _ASK_OURS[0].lower() + _ASK_OURS[1:],
)


# Said by ourselves, where the table above speaks of another server; the key is the subject.
_OWN_TABLE: dict[str, Hint] = {
    ".3": Hint("This mail system has a problem.", "Try again later."),
    ".7": Hint("This mail system does not let mail go to this address.", _ASK_OURS),
}
_OWN_UNKNOWN = Hint(
    "This mail system does not deliver mail to this address.",
    "Read its words below; if they do not help, " + _ASK_OURS[0].lower() + _ASK_OURS[1:],
)
_OF_OTHERS = ("The other ", "The two ")
_ALWAYS_OF_OTHERS = (".4", ".6.7")  # only ever said about a next host


def find_hint(status: str, is_own: bool = False) -> Hint:
    """The hint for an enhanced status code like "5.1.1". `is_own`: no other server said so, we did."""
    _, _, rest = status.partition(".")
    subject, _, _ = rest.partition(".")
    hint = _TABLE.get(f".{rest}") or _TABLE.get(f".{subject}") or _UNKNOWN
    if is_own and hint.what.startswith(_OF_OTHERS) and not f".{rest}".startswith(_ALWAYS_OF_OTHERS):
        return _OWN_TABLE.get(f".{subject}", _OWN_UNKNOWN)
    return hint
