"""Which handler does which command. A handler gets the context and the command, and returns `Done`; None when it has
answered itself or the answer comes later; it raises `No` or `Bad`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from posthouse.access.imap import (
    acl,
    basics,
    contexts,
    copying,
    entering,
    expunging,
    fetching,
    flagging,
    listing,
    mailboxes,
    mailboxes_status,
    metadata,
    notifying,
    quota,
    searching,
    selecting,
    sending,
    sorting,
    threading_answers,
    uid_batches,
    uploading,
)
from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.protocol.imap import commands as c
from posthouse.protocol.imap import server_events

Handler = Callable[[Context, Any], Awaitable[Done | None]]

HANDLERS: Mapping[type, Handler] = {
    c.Capability: basics.capability,
    c.Noop: basics.noop,
    c.Check: basics.noop,
    c.Id: basics.identify,
    c.Enable: basics.enable,
    c.Idle: basics.idle,
    server_events.Done: basics.end_idle,
    c.StartTls: entering.start_tls,
    c.Login: entering.log_in,
    c.Authenticate: entering.authenticate,
    c.Unauthenticate: entering.unauthenticate,
    c.Logout: entering.log_out,
    c.Compress: entering.compress,
    c.Select: selecting.select,
    c.Close: selecting.close,
    c.Unselect: selecting.unselect,
    c.Create: mailboxes.create,
    c.Delete: mailboxes.delete,
    c.Rename: mailboxes.rename,
    c.Subscribe: mailboxes.subscribe,
    c.Unsubscribe: mailboxes.unsubscribe,
    c.Namespace: mailboxes.namespace,
    c.List: listing.list_mailboxes,
    c.Lsub: listing.list_subscribed,
    c.Status: mailboxes_status.status,
    c.GetAcl: acl.get_acl,
    c.SetAcl: acl.set_acl,
    c.DeleteAcl: acl.delete_acl,
    c.ListRights: acl.list_rights,
    c.MyRights: acl.my_rights,
    c.GetMetadata: metadata.get_metadata,
    c.SetMetadata: metadata.set_metadata,
    c.GetQuota: quota.get_quota,
    c.GetQuotaRoot: quota.get_quota_root,
    c.SetQuota: quota.set_quota,
    c.Fetch: fetching.fetch,
    c.Store: flagging.store,
    c.Expunge: expunging.expunge,
    c.Append: uploading.append,
    c.Copy: copying.copy,
    c.Move: copying.move,
    c.Replace: copying.replace,
    c.UidSubmit: sending.submit,
    c.Notify: notifying.notify,
    c.Search: searching.search,
    c.Sort: sorting.sort,
    c.Thread: threading_answers.thread,
    c.CancelUpdate: contexts.cancel_update,
    c.UidBatches: uid_batches.uid_batches,
}

# While these run, and they are not UID commands, no message may go from the client's numbering (RFC 9051 §7.5.1).
KEEPS_NUMBERS = frozenset({c.Fetch, c.Store, c.Search, c.Sort, c.Thread})
# These speak of messages: a large mailbox has to be read first (sparse.py).
NEEDS_ARRAYS = frozenset(
    {
        c.Fetch,
        c.Store,
        c.Search,
        c.Sort,
        c.Thread,
        c.Copy,
        c.Move,
        c.Expunge,
        c.Replace,
        c.UidBatches,
        c.UidSubmit,
    }
)
