"""The HTTP API beside JMAP: signing in, settings of an account, administration. Wires its parts for one worker.

The handlers are in web_api_*.py, the table they make is served and described from one place (web_api_table.py).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from posthouse import __version__
from posthouse.adapters.passkeys import WebAuthn
from posthouse.adapters.passwords import Argon2Hash
from posthouse.adapters.sqlite.directory import SqliteDirectory
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.adapters.sqlite.directory_factors import SqliteSecondFactors
from posthouse.adapters.sqlite.directory_web import DirectoryWriter, SqliteWebSessions
from posthouse.adapters.sqlite.journal_index import JournalIndex
from posthouse.app.directory import directory_path, lend_admin, open_for_worker
from posthouse.app.web import WebContext
from posthouse.app.web_api_admin import AdminApi
from posthouse.app.web_api_desk import ApiDesk, Cookies, WebFacts
from posthouse.app.web_api_document import DocumentApi
from posthouse.app.web_api_factors import FactorApi
from posthouse.app.web_api_server import Look, ServerApi
from posthouse.app.web_api_session import SessionApi
from posthouse.app.web_api_settings import SettingsApi
from posthouse.app.web_api_table import Api, Endpoint
from posthouse.app.web_api_transfer import TransferApi, TransferParts
from posthouse.app.web_view_readers import CALENDAR, UNSUBSCRIBE
from posthouse.manage.accounts import PasswordOperations
from posthouse.manage.trace import Story
from posthouse.manage.web_passwords import OwnPasswords
from posthouse.ports.history import History
from posthouse.serve.http_messages import AnyRoute
from posthouse.trust.web_factors import Challenges, CodeDesk
from posthouse.trust.web_logins import WebLogins, WebLoginSettings

_FLUSH_S = 10.0


def make_routes(web: WebContext) -> Sequence[AnyRoute]:
    """Also lets `web.visitors` know people by their cookies. The directory is read by a connection of its own."""
    people = open_for_worker(web.settings)
    desk = _make_desk(web, people)
    web.visitors.cookies = Cookies(desk.logins)
    web.periodic.append((_FLUSH_S, desk.logins.flush))
    parts = ApiParts(_make_transfers(web), partial(_look, Path(web.settings.data) / "journal"))
    return Api(make_endpoints(desk, parts), desk.guard).make_routes()


@dataclass(frozen=True, slots=True)
class ApiParts:
    transfers: TransferParts
    look: Look


def make_endpoints(desk: ApiDesk, parts: ApiParts) -> list[Endpoint]:
    described = [
        *SessionApi(desk).endpoints(),
        *FactorApi(desk).endpoints(),
        *SettingsApi(desk).endpoints(),
        *TransferApi(desk, parts.transfers).endpoints(),
        *AdminApi(desk).endpoints(),
        *ServerApi(desk, parts.look).endpoints(),
    ]
    return [*described, *DocumentApi([*described, UNSUBSCRIBE, CALENDAR], desk.facts.version).endpoints()]


def _look(root: Path, question: Callable[[History], list[Story]]) -> list[Story]:
    with closing(JournalIndex(root)) as index:
        index.catch_up()
        return question(index)


def _make_transfers(web: WebContext) -> TransferParts:
    settings = web.settings
    return TransferParts(web.imports, settings.data, settings.web.max_import, settings.smtp.max_message_size)


def _make_desk(web: WebContext, people: SqliteDirectory) -> ApiDesk:
    settings, path = web.settings, directory_path(web.settings)
    credentials, writer = SqliteCredentials(people, path), DirectoryWriter(path)
    sessions, factors = SqliteWebSessions(people, writer), SqliteSecondFactors(people, writer)
    limits = WebLoginSettings(settings.web.session_idle.total_seconds(), settings.web.session_lifetime.total_seconds())
    logins = WebLogins(sessions, credentials, people, web.clock, secrets.token_bytes, limits)

    async def close() -> None:
        await logins.flush()
        writer.close()
        credentials.close()
        people.close()

    web.closing.append(close)
    passwords = PasswordOperations(credentials, Argon2Hash(), web.compute, web.clock, secrets.token_bytes)
    return ApiDesk(
        facts=WebFacts(
            hostname=settings.hostname,
            version=__version__,
            undo_s=settings.submission.undo.total_seconds(),
            max_upload=settings.web.max_upload,
            longest_session_s=limits.lifetime_s,
        ),
        visitors=web.visitors,
        accounts=people,
        credentials=credentials,
        sessions=sessions,
        logins=logins,
        factors=factors,
        codes=CodeDesk(factors, credentials, web.clock),
        challenges=Challenges(credentials, web.clock, secrets.token_bytes),
        passkeys=WebAuthn(),
        passwords=passwords,
        own=OwnPasswords(passwords, sessions),
        open_admin=partial(lend_admin, settings),
        store=web.store,
        sending=web.sending,
        link=web.link,
        clock=web.clock,
        compute=web.compute,
        log=web.log,
        secret_octets=secrets.token_bytes,
    )
