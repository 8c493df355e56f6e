"""Reads the parenthesised lists that IMAP servers write: lists, octets for strings, None for NIL, numbers as octets."""

from __future__ import annotations

import re

Item = list["Item"] | bytes | None

_TOKEN = re.compile(rb'[ ]*(?:(\()|(\))|"((?:[^"\\\r\n\x00\x80-\xff]|\\["\\])*)"|\{(\d+)\}\r\n|(NIL)|(\d+))')


def read_list(data: bytes) -> Item:
    """Strict: anything that is not of the grammar is an AssertionError."""
    position = 0
    open_lists: list[list[Item]] = [[]]
    while position < len(data):
        token = _TOKEN.match(data, position)
        assert token is not None, data[position : position + 80]
        position = token.end()
        begins, ends, quoted, literal, nil, number = token.groups()
        if begins:
            open_lists.append([])
            continue
        item: Item
        if ends:
            item = open_lists.pop()
        elif literal is not None:
            item = data[position : position + int(literal)]
            position += int(literal)
        elif quoted is not None:
            item = re.sub(rb"\\(.)", rb"\1", quoted)
        else:
            item = None if nil else number
        open_lists[-1].append(item)
    assert len(open_lists) == 1
    assert len(open_lists[0]) == 1
    return open_lists[0][0]
