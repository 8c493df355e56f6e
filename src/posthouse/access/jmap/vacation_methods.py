"""VacationResponse/get and /set (RFC 8621 §8): what is answered while somebody is away. mda/vacation.py answers.

There is one per account, and no /changes. To set it a password must be good for sending: it sends mail.
"""

from __future__ import annotations

from collections.abc import Mapping

from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.access.jmap.records_reading import read_date, read_flag, read_line, read_text
from posthouse.access.jmap.records_singleton import Singleton, get_singleton, set_singleton
from posthouse.ports.login import Scope
from posthouse.ports.records import VACATION_KIND, Value
from posthouse.protocol.jmap.errors import invalid_properties
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.session import VACATION

_DEFAULTS: Mapping[str, object] = {
    "isEnabled": False,
    "fromDate": None,
    "toDate": None,
    "subject": None,
    "textBody": None,
    "htmlBody": None,
}


def _read(members: JsonObject) -> Value:
    given = {name for name, value in members.items() if value is not None}
    dates = {name: read_date(members, name) for name in ("fromDate", "toDate") if name in given}
    if len(dates) == 2 and dates["fromDate"][1] >= dates["toDate"][1]:
        raise invalid_properties(["fromDate", "toDate"], "It ends before it begins")
    return {
        **_DEFAULTS,
        "isEnabled": read_flag(members, "isEnabled"),
        **{name: text for name, (text, _) in dates.items()},
        **{name: read_line(members, name) for name in ("subject",) if name in given},
        **{name: read_text(members, name) for name in ("textBody", "htmlBody") if name in given},
    }


_VACATION = Singleton(VACATION_KIND, _DEFAULTS, _read)


async def get_vacation(call: Call) -> Answer:
    return await get_singleton(call, _VACATION)


async def set_vacation(call: Call) -> Answer:
    call.check_scope(Scope.SEND)
    return await set_singleton(call, _VACATION)


METHODS: Methods = {
    "VacationResponse/get": Method(VACATION, get_vacation),
    "VacationResponse/set": Method(VACATION, set_vacation),
}
