"""GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208): one root "" for an account, of STORAGE and MESSAGE.

Limits are the administrator's: SETQUOTA is refused. An account without limits has no root. Mailboxes of others belong
to no root of the user's, so that nobody learns how much mail somebody else has.
"""

from __future__ import annotations

from posthouse.access.imap.answers import Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.places import find_place
from posthouse.protocol.imap.commands import GetQuota, GetQuotaRoot, SetQuota
from posthouse.protocol.imap.render import write_mailbox

_UNIT = 1024  # octets of STORAGE (RFC 9208 §5.1)


async def get_quota(context: Context, request: GetQuota) -> Done:
    written = await _write_quota(context) if not request.root else b""
    if not written:
        raise No("There is no such quota root", b"NONEXISTENT")
    context.write(written)
    return Done("That is the quota")


async def get_quota_root(context: Context, request: GetQuotaRoot) -> Done:
    place = await find_place(context, request.mailbox)
    place.need("r")
    written = await _write_quota(context) if place.viewer is None else b""
    name = write_mailbox(place.name, is_utf8=context.writes_utf8)
    context.write(b"* QUOTAROOT %b%b\r\n%b" % (name, b' ""' if written else b"", written))
    return Done("That is the quota root")


async def set_quota(context: Context, request: SetQuota) -> Done:
    raise No("Quotas are set by the administrator", b"NOPERM")


async def _write_quota(context: Context) -> bytes:
    """Empty without limits."""
    account = context.desk.accounts.get(context.account)
    if account is None or (account.quota_octets is None and account.quota_emails is None):
        return b""
    usage = await context.desk.store.quotas.usage(context.account)
    resources: list[bytes] = []
    if account.quota_octets is not None:
        resources.append(b"STORAGE %d %d" % (-(-usage.octets // _UNIT), account.quota_octets // _UNIT))
    if account.quota_emails is not None:
        resources.append(b"MESSAGE %d %d" % (usage.emails, account.quota_emails))
    return b'* QUOTA "" (%b)\r\n' % b" ".join(resources)
