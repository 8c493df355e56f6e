"""ESEARCH over several mailboxes (RFC 7377): one response for each that has something.

A mailbox that the user may not read is passed over as if it were not there: neither a response nor a refusal tells of
it. Numbers of messages belong to the selected mailbox, so that they are refused for others.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import Place
from posthouse.access.imap.places import list_places
from posthouse.access.imap.searching_keys import Program, Resolver
from posthouse.access.imap.searching_results import Answer, Found, check_returns, keep_known, make_found, write_extended
from posthouse.access.imap.updates import tell_news
from posthouse.access.imap.watching import is_within
from posthouse.message.mailbox import AccountId, UidSet
from posthouse.ports.access import ConnectionLost
from posthouse.ports.store import NoSuchMailbox
from posthouse.protocol.imap.commands import Search
from posthouse.protocol.imap.render import write_mailbox, write_status
from posthouse.protocol.imap.values import Numbered, Return, Scope, Source

_SELECTED = frozenset({Scope.SELECTED, Scope.SELECTED_DELAYED})
_READ = "lr"


def is_of_selected(context: Context, sources: Sequence[Source]) -> bool:
    """An ordinary search of the selected mailbox, whatever the command is called."""
    return context.selected is not None and all(source.scope in _SELECTED for source in sources)


def write_where(context: Context, place: Place) -> bytes:
    """The correlator of a mailbox (RFC 7377 §2.1)."""
    name = write_mailbox(place.name, is_utf8=context.writes_utf8)
    return b" MAILBOX %b UIDVALIDITY %d" % (name, place.mailbox.uidvalidity)


async def search_many(context: Context, request: Search) -> Done:
    options = request.returns.options or frozenset()
    if context.selected is not None:
        await tell_news(context)
    elif any(source.scope in _SELECTED for source in request.sources):
        raise Bad("No mailbox is selected")
    if Return.SAVE in options:
        raise Bad("Results of several mailboxes cannot be saved")  # RFC 7377 §2.1
    program = _resolve(context, request, context.account)
    check_returns(request.returns, is_fuzzy=program.is_fuzzy)
    if Return.RELEVANCY in options:
        raise No("Relevance does not compare between mailboxes", b"CANNOT")
    if Return.UPDATE in options:
        tag = context.tag.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
        context.write(write_status(b"*", b"NO", "Only one mailbox is watched", b'NOUPDATE "%b"' % tag))
    places = await _find_places(context, request.sources)
    for number, place in enumerate(places):
        context.tell_progress(number, len(places))
        if place.owner != context.account:
            program = _resolve(context, request, place.owner)
        await _search_one(context, request, program, place)
        await context.breathe()
    return Done("Search completed")


def _resolve(context: Context, request: Search, owner: AccountId) -> Program:
    return Resolver(_refuse_numbers, context.desk.clock.now(), owner).resolve(request.key)


def _refuse_numbers(numbered: Numbered) -> UidSet:
    """Numbers of messages mean something in the selected mailbox alone (RFC 7377 §2.1)."""
    raise Bad("Messages of several mailboxes have no number", b"CLIENTBUG")


async def _search_one(context: Context, request: Search, program: Program, place: Place) -> None:
    def note(done: int, total: int) -> None:
        if context.wire.is_closing:
            raise ConnectionLost

    store, mailbox = context.desk.store, place.mailbox.id
    try:
        result = await store.search.search(place.owner, program.key, mailbox, (), place.viewer, note)
        view = await store.messages.snapshot(place.owner, mailbox, place.viewer) if program.has_modseq else None
    except NoSuchMailbox:
        return
    uids: Sequence[int] = result.uids
    if context.selected is not None and context.selected.place.mailbox.id == mailbox:
        uids = keep_known(context.selected.view, uids)
    if not uids:
        return
    if view is None:
        found = Found(uids, uids)
    else:
        found = make_found(view, [uid for uid in uids if uid < view.uidnext], is_uid=True, needs_places=True)
    modseqs = view.modseqs if view is not None else None
    answer = Answer(context.tag, True, write_where(context, place), modseqs)
    context.write(write_extended(found, request.returns, answer))


async def _find_places(context: Context, sources: Sequence[Source]) -> list[Place]:
    """Those the user may read, each once."""
    places = [place for place in await list_places(context) if place.may(_READ)]
    here = context.selected.place if context.selected is not None else None
    is_here = any(source.scope in _SELECTED for source in sources)
    return [
        place
        for place in places
        if any(is_within(source, place) for source in sources)
        or (is_here and here is not None and (place.owner, place.mailbox.id) == (here.owner, here.mailbox.id))
    ]
