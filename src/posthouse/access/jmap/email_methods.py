"""The methods on emails (RFC 8621 §4), by name."""

from __future__ import annotations

from collections.abc import Mapping

from posthouse.access.jmap.email_methods_changes import list_changes, query_changes
from posthouse.access.jmap.email_methods_get import get_emails
from posthouse.access.jmap.email_query import query_emails
from posthouse.access.jmap.email_set import set_emails
from posthouse.access.jmap.email_set_import import copy_emails, import_emails, parse_emails
from posthouse.access.jmap.method import Method
from posthouse.protocol.jmap.session import MAIL

METHODS: Mapping[str, Method] = {
    "Email/get": Method(MAIL, get_emails),
    "Email/changes": Method(MAIL, list_changes),
    "Email/query": Method(MAIL, query_emails),
    "Email/queryChanges": Method(MAIL, query_changes),
    "Email/set": Method(MAIL, set_emails),
    "Email/copy": Method(MAIL, copy_emails),
    "Email/import": Method(MAIL, import_emails),
    "Email/parse": Method(MAIL, parse_emails),
}
