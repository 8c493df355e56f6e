"""What the recipients of a message become: aliases and catch-alls followed to their ends when it is accepted.

Each end is a row of its own in the spool, with a status, retries and reports of its own. An end that several
recipients lead to comes once. The sender hears of ends under the address that he wrote: ORCPT is set to it where he
set none (RFC 3461 §5.2.7); NOTIFY goes along, so that who asked for success hears of each end.

Pure. The directory bounds what one address may become, mta/inbound.py what a message may.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from posthouse.message.address import Address
from posthouse.message.envelope import Notify, Recipient
from posthouse.message.reply import Reply

_REPORTED = Notify.SUCCESS | Notify.FAILURE | Notify.DELAY


@dataclass(frozen=True, slots=True)
class Named:
    """A recipient as the client named it, and what it stands for."""

    recipient: Recipient
    targets: Sequence[Address]


@dataclass(frozen=True, slots=True)
class Expansion:
    """`recipients` in the order they came. `places[i]` are those among them that the i-th named one became."""

    recipients: tuple[Recipient, ...]
    places: Sequence[Sequence[int]]


def _by_itself(address: Address) -> Hashable:
    return address


def expand_recipients(named: Sequence[Named], key_of: Callable[[Address], Hashable] = _by_itself) -> Expansion:
    """Ends with the same key are one: two spellings of an address of ours lead to the same mailbox."""
    if len(named) == 1 and len(named[0].targets) == 1:  # nearly all mail there is
        return Expansion((_redirect(named[0].recipient, named[0].targets[0]),), ((0,),))
    merged: dict[Hashable, Recipient] = {}
    numbers: dict[Hashable, int] = {}
    places = []
    for each in named:
        keys = [key_of(target) for target in each.targets]
        for key, target in zip(keys, each.targets, strict=True):
            known = merged.get(key)
            if known is None:
                numbers[key] = len(merged)
                merged[key] = _redirect(each.recipient, target)
            else:
                merged[key] = _merge(known, each.recipient)
        places.append([numbers[key] for key in keys])
    return Expansion(tuple(merged.values()), places)


def _redirect(recipient: Recipient, target: Address) -> Recipient:
    if recipient.address == target:
        return recipient
    return Recipient(target, recipient.notify, recipient.orcpt or original_of(recipient.address))


def original_of(address: Address) -> tuple[str, str]:
    """The address as an ORCPT (RFC 3461 §4.2, RFC 6533 §3)."""
    return ("rfc822", address.to_ascii()) if not address.needs_smtputf8 else ("utf-8", str(address))


def _merge(known: Recipient, again: Recipient) -> Recipient:
    """Two recipients that became one: what either wants to hear of is reported."""
    if known.notify == again.notify:
        return known
    wanted = _find_wanted(known.notify) | _find_wanted(again.notify)
    return replace(known, notify=wanted or Notify.NEVER)


def _find_wanted(notify: Notify) -> Notify:
    return notify & _REPORTED if notify else Notify.FAILURE | Notify.DELAY


def join_replies(replies: Sequence[Reply]) -> Reply:
    """One reply for what became several: a temporary failure before a permanent one before success.

    The client sends it again as a whole, and who got it already gets it twice: the alternative would be a loss.
    """
    return min(replies, key=lambda reply: _ORDER.get(reply.code // 100, 3))


_ORDER = {4: 0, 5: 1, 2: 2}
