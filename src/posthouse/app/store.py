"""The message store of a worker, and what delivers into it."""

from __future__ import annotations

from posthouse.config.settings import Settings
from posthouse.mda.filing import ByDetail, Stage
from posthouse.mda.store_delivery import AccountPostman, PostmanParts, PostmanSettings
from posthouse.message.parse import parse_message
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Directory
from posthouse.ports.observe import Log
from posthouse.ports.store import Store


def make_postman(
    settings: Settings, store: Store, directory: Directory, compute: Compute, log: Log, inline_limit: int
) -> AccountPostman:
    """Sieve scripts will be a stage before the one for tags."""
    stages: list[Stage] = [ByDetail(store.mailboxes)] if settings.delivery.tag_mailbox else []
    parts = PostmanParts(store.messages, directory, parse_message, compute, log)
    retries_full = settings.delivery.over_quota_queued == "later"
    return AccountPostman(parts, stages, PostmanSettings(inline_limit, retries_full=retries_full))
