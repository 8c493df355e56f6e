"""The queue as the administration page shows it: each recipient with the reason why it is still here, in plain words.

`reasonCode` is a word that a page can translate, `reason` a sentence. The reason comes from the last reply: its
enhanced status code (RFC 3463 §3, RFC 5248) where the other side gave one we can believe, else its plain code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Plain = dict[str, object]

_REPLY = re.compile(r"(\d{3})(?: ([245])\.(\d{1,3})\.(\d{1,3}))?\b ?(.*)", re.DOTALL)

# By subject and detail of the enhanced code, then by subject alone.
_CODES: Mapping[tuple[int, int | None], tuple[str, str]] = {
    (1, 1): ("no-such-mailbox", "There is no such mailbox"),
    (1, 2): ("no-such-domain", "There is no such domain"),
    (1, 8): ("sender-refused", "The sender's address is not accepted there"),
    (1, 10): ("no-mail", "That domain takes no mail"),
    (2, 1): ("mailbox-disabled", "The mailbox takes no mail at the moment"),
    (2, 2): ("mailbox-full", "The mailbox is full"),
    (2, 3): ("too-large", "The message is larger than that mailbox takes"),
    (3, 1): ("full", "The other server has no room at the moment"),
    (3, 2): ("not-accepting", "The other server takes no mail at the moment"),
    (3, 4): ("too-large", "The message is larger than the other server takes"),
    (4, 1): ("unreachable", "The other server does not answer"),
    (4, 2): ("broken-connection", "The connection to the other server broke"),
    (4, 3): ("dns", "Name service does not answer"),
    (4, 4): ("dns", "Where the mail should go cannot be found out"),
    (4, 6): ("loop", "The message goes in circles"),
    (4, 7): ("expired", "It could not be delivered in time"),
    (5, 3): ("too-many", "There are more recipients than the other server takes at once"),
    (6, None): ("content", "The other server cannot handle the content of the message"),
    (7, 1): ("refused-by-policy", "The other server does not want this message"),
    (7, 4): ("tls", "No secure connection to the other server could be made"),
    (7, 5): ("tls", "No secure connection to the other server could be made"),
    (7, 10): ("tls", "No secure connection to the other server could be made"),
    (7, 20): ("authentication", "The other server could not verify where the message comes from"),
    (7, 23): ("authentication", "The other server could not verify where the message comes from"),
    (7, 26): ("authentication", "The other server could not verify where the message comes from"),
    (7, 25): ("reverse-name", "The other server wants our address to have a name"),
    (7, 28): ("rate", "The other server wants mail more slowly"),
    (1, None): ("address", "Something is wrong with the address"),
    (2, None): ("mailbox", "Something is wrong with the mailbox"),
    (3, None): ("other-server", "Something is wrong at the other server"),
    (4, None): ("network", "Something is wrong on the way to the other server"),
    (5, None): ("protocol", "The other server did not understand us"),
    (7, None): ("refused-by-policy", "The other server does not want this message"),
}
_PLAIN: Mapping[str, tuple[str, str]] = {
    "421": ("not-accepting", "The other server takes no mail at the moment"),
    "450": ("try-later", "The other server asks to try again later"),
    "451": ("try-later", "The other server asks to try again later"),
    "452": ("full", "The other server has no room at the moment"),
    "550": ("refused", "The other server refuses the recipient or the message"),
    "552": ("too-large", "The message is larger than the other server takes"),
    "554": ("refused", "The other server refuses the message"),
}
_STATES: Mapping[str, tuple[str, str]] = {
    "held": ("held", "Held by an administrator"),
    "active": ("active", "It is being delivered"),
    "ready": ("waiting", "It waits for its turn"),
    "delivered": ("delivered", "Delivered"),
    "relayed": ("relayed", "Handed on to the next server"),
    "expired": ("expired", "It could not be delivered in time"),
}
_OTHER = ("other", "The other server said no")
_GREY = re.compile(r"gr[ae]y.?list", re.IGNORECASE)


def explain_reply(reply: str) -> tuple[str, str]:
    """A word and a sentence."""
    found = _REPLY.match(reply)
    if found is None:
        return _OTHER
    code, _, subject, detail, text = found.groups()
    if _GREY.search(text) and code.startswith("4"):
        return "greylisted", "The other server makes new senders wait; it will take it later"
    if subject is not None and (int(subject), int(detail)) != (0, 0):
        known = _CODES.get((int(subject), int(detail))) or _CODES.get((int(subject), None))
        if known is not None:
            return known
    return _PLAIN.get(code, _OTHER)


def explain_recipient(recipient: Mapping[str, object]) -> Plain:
    """One of `recipients` of the queue listing, with its reason."""
    status, reply = str(recipient.get("status", "")), recipient.get("last_reply")
    word, sentence = _STATES.get(status, _OTHER)
    if status in ("deferred", "failed", "expired", "held") and reply:
        why, words = explain_reply(str(reply))
        if status == "held":
            sentence = f"{sentence}; before: {words}"
        else:
            word, sentence = why, words
    elif status not in _STATES:
        word, sentence = "waiting", "It waits for its turn"
    return {**recipient, "reasonCode": word, "reason": sentence}


def explain_item(item: Mapping[str, object]) -> Plain:
    """A message of the queue listing."""
    recipients = item.get("recipients")
    told = [explain_recipient(each) for each in recipients] if isinstance(recipients, list | tuple) else []
    return {**item, "recipients": told}
