"""What a client does in its maildrop: STAT, LIST, UIDL, RETR, TOP, DELE, RSET (RFC 1939 §5, §7), and what is possible
anywhere: CAPA (RFC 2449), LANG and UTF8 (RFC 6856), NOOP.

A message goes out in one read and one write, or, where it is large, in pieces, each of which waits for the client:
what a session holds of a message does not depend on the size of it. When one cannot be read to its end the session is
closed, since only -ERR at the beginning or the dot at the end can be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from posthouse.access.pop3.answers import Err
from posthouse.access.pop3.bodies import PIECE
from posthouse.access.pop3.capabilities import is_hidden, list_capabilities
from posthouse.access.pop3.context import Context
from posthouse.message.header import find_header_end
from posthouse.message.surrogate import make_surrogate
from posthouse.protocol.pop3.commands import Capa, Dele, Lang, List, Noop, Retr, Rset, Stat, Top, Uidl, Utf8
from posthouse.protocol.pop3.replies import END, Stuffer, TopCutter, stuff, write_lines, write_ok

_LINES = 5_000  # of a listing, between two breaths
_LANGUAGES = {"en": "English", "i-default": "Default language"}  # RFC 2277 §4.5


async def tell_capabilities(context: Context, request: Capa) -> bytes:
    return write_lines("This is possible", list_capabilities(context))


async def do_nothing(context: Context, request: Noop) -> bytes:
    return write_ok("")


async def enable_utf8(context: Context, request: Utf8) -> bytes:
    if is_hidden(context, "UTF8"):
        raise Err("Unknown command")
    context.utf8 = True
    return write_ok("UTF-8 from here on")


async def choose_language(context: Context, request: Lang) -> bytes:
    """There is one. RFC 6856 §3.2; the basic range of RFC 4647 §3.3.1 is a whole tag here."""
    if is_hidden(context, "LANG"):
        raise Err("Unknown command")
    if not request.wanted:
        return write_lines("Languages follow", [f"{tag} {name}" for tag, name in _LANGUAGES.items()])
    tag = "en" if request.wanted == "*" else request.wanted.lower()
    if tag not in _LANGUAGES:
        raise Err("That language is not spoken here")
    return write_ok(f"{tag} This is the language from here on")


# -- the maildrop


async def count(context: Context, request: Stat) -> bytes:
    return write_ok(f"{context.drop.count} {context.drop.octets}")


async def list_sizes(context: Context, request: List) -> bytes | None:
    drop = context.drop
    if request.number is not None:
        return write_ok(f"{request.number} {drop.size(_find(context, request.number))}")
    context.write(write_ok(f"{drop.count} messages ({drop.octets} octets)"))
    places = iter(list(drop.places()))
    while part := [(place + 1, drop.size(place)) for place in islice(places, _LINES)]:
        context.write("".join([f"{number} {size}\r\n" for number, size in part]).encode("ascii"))
        await context.breathe()
    return END


async def list_uidls(context: Context, request: Uidl) -> bytes | None:
    if is_hidden(context, "UIDL"):
        raise Err("Unknown command")
    drop = context.drop
    if request.number is not None:
        place = _find(context, request.number)
        return write_ok(f"{request.number} {(await drop.uidls())[place]}")
    uidls: Sequence[str] = await drop.uidls()
    context.write(write_ok("Unique-ids follow"))
    places = iter(list(drop.places()))
    while part := list(islice(places, _LINES)):
        context.write("".join([f"{place + 1} {uidls[place]}\r\n" for place in part]).encode("ascii"))
        await context.breathe()
    return END


async def delete(context: Context, request: Dele) -> bytes:
    context.drop.delete(_find(context, request.number))
    return write_ok("Gone at QUIT")


async def reset(context: Context, request: Rset) -> bytes:
    drop = context.drop
    drop.reset()
    return write_ok(f"{drop.count} messages ({drop.octets} octets)")


async def retrieve(context: Context, request: Retr) -> None:
    place = _find(context, request.number)
    octets = await context.bodies.read_first(place)
    shown = _take_header(context, octets)
    size = context.drop.size(place)
    context.write(write_ok(f"{size - len(octets) + len(shown)} octets"))
    if size <= PIECE:
        context.write(stuff(shown))
        if context.is_full:
            await context.breathe()
    else:
        await _send_pieces(context, place, shown, None)
    context.drop.note_retrieved(place)


async def send_top(context: Context, request: Top) -> None:
    if is_hidden(context, "TOP"):
        raise Err("Unknown command")
    place = _find(context, request.number)
    octets = await context.bodies.read_first(place)
    context.write(write_ok("The top follows"))
    await _send_pieces(context, place, _take_header(context, octets), TopCutter(request.lines))


def _find(context: Context, number: int) -> int:
    if not context.drop.has(number - 1):
        raise Err("There is no such message")
    return number - 1


def _take_header(context: Context, octets: bytes) -> bytes:
    """RFC 6856 §2.1: who has not said UTF8 gets no 8-bit header. Sizes in LIST and STAT are those of the original."""
    if context.utf8 or octets.isascii():
        return octets
    end = find_header_end(octets)
    head = octets[:end] if end >= 0 else octets
    return octets if head.isascii() else make_surrogate(head) + octets[len(head) :]


async def _send_pieces(context: Context, place: int, first: bytes, cutter: TopCutter | None) -> None:
    """Raises Broken, ConnectionLost."""
    stuffer = Stuffer()
    context.write(stuffer.take(first if cutter is None else cutter.take(first)))
    for offset in range(PIECE, context.drop.size(place), PIECE):
        if cutter is not None and cutter.is_done:
            break
        await context.breathe()
        piece = await context.bodies.read_piece(place, offset)
        context.write(stuffer.take(piece if cutter is None else cutter.take(piece)))
    context.write(stuffer.finish())
    await context.breathe()
