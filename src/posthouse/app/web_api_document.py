"""The OpenAPI 3.1 document of the HTTP API, and a page for people, both made from the table that the routes come from.

Neither can drift from what is served: a test compares them. The page has no script and asks nobody for anything; its
one style sheet is allowed by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from posthouse.app.web_api_table import JSON_TYPE, Access, ApiCall, Endpoint, Problem
from posthouse.serve.http_messages import PROBLEM, HttpAnswer

Plain = dict[str, object]

_REF = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")
_TITLES: Final[Mapping[int, str]] = {
    200: "Done",
    201: "Made",
    204: "Done; nothing to tell",
    400: "The request makes no sense",
    401: "Nobody is signed in, or what was shown is wrong",
    403: "Not allowed",
    404: "Not there",
    405: "Not with this method",
    409: "It cannot be done as things are",
    413: "Too large",
    415: "The body must be JSON",
    429: "Too often",
    503: "Not now",
}
_GROUPS = (
    ("/api/admin/", "Administration"),
    ("/api/passkey", "Signing in"),
    ("/api/session", "Signing in"),
    ("/api/totp", "Signing in"),
    ("/api/openapi", "This document"),
    ("/api/docs", "This document"),
    ("/api/unsubscribe", "Reading mail"),
    ("/calendar/", "Reading mail"),
    ("/api/", "Settings"),
)
_ABOUT = (
    "Signing in, settings and administration. Mail itself is JMAP's business (RFC 8620, RFC 8621): see"
    " /.well-known/jmap. Browsers show the cookie of a session and send X-Posthouse: 1 with everything that is no GET;"
    " administration is also open to programs, by Basic with an app password of the scope manage, or Bearer. Mistakes"
    " are problem documents (RFC 9457)."
)


class DocumentApi:
    """Describes `endpoints` and its own."""

    def __init__(self, endpoints: Sequence[Endpoint], version: str) -> None:
        self._endpoints, self._version = endpoints, version
        self._document = b""
        self._page = b""

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(
                "GET",
                "/api/openapi.json",
                "This document.",
                self.send_document,
                Access.NOBODY,
                gives_file=(JSON_TYPE,),
            ),
            Endpoint(
                "GET", "/api/docs", "The same for people.", self.send_page, Access.NOBODY, gives_file=("text/html",)
            ),
        ]

    async def send_document(self, _: ApiCall) -> object:
        if not self._document:
            self._document = json.dumps(self._describe(), indent=1).encode()
        return HttpAnswer(200, self._document, JSON_TYPE, {"Cache-Control": "no-cache"})

    async def send_page(self, _: ApiCall) -> object:
        if not self._page:
            self._page = make_page(self._describe()).encode()
        policy = f"default-src 'none'; style-src '{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'"
        return HttpAnswer(200, self._page, "text/html; charset=utf-8", {"Content-Security-Policy": policy})

    def _describe(self) -> Plain:
        return describe([*self._endpoints, *self.endpoints()], self._version)


def describe(endpoints: Sequence[Endpoint], version: str) -> Plain:
    types = [kind for endpoint in endpoints for kind in (endpoint.takes, endpoint.gives) if kind is not None]
    schemas, components = msgspec.json.schema_components(
        [*types, Problem], ref_template=_REF, schema_hook=_describe_other
    )
    known = dict(zip(map(repr, types), schemas, strict=False))
    paths: dict[str, Plain] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _describe(endpoint, known)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Posthouse", "version": version, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-posthouse"},
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _describe_other(_: type) -> Plain:
    """For `object`."""
    return {"description": "Any JSON value."}


def _describe(endpoint: Endpoint, known: Mapping[str, object]) -> Plain:
    told: Plain = {
        "summary": endpoint.about,
        "operationId": _name(endpoint),
        "tags": [next(name for start, name in _GROUPS if endpoint.path.startswith(start))],
        "responses": _describe_answers(endpoint, known),
    }
    if endpoint.access is not Access.NOBODY:
        programs: list[Plain] = [{"basic": []}, {"bearer": []}] if endpoint.access is Access.ADMIN else []
        told["security"] = [{"session": []}, *programs]
    parameters = _describe_parameters(endpoint)
    if parameters:
        told["parameters"] = parameters
    if endpoint.takes is not None:
        content: Plain = {JSON_TYPE: {"schema": known[repr(endpoint.takes)]}}
        told["requestBody"] = {"required": not _is_optional(endpoint.takes), "content": content}
    elif endpoint.takes_file:
        binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
        told["requestBody"] = {"required": True, "content": dict.fromkeys(endpoint.takes_file, binary)}
    return told


def _is_optional(kind: type) -> bool:
    return all(not field.required for field in msgspec.structs.fields(kind))


def _name(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path.removeprefix("/api/"))
    return "".join([endpoint.method.lower(), *(word[:1].upper() + word[1:] for word in words)])


def _describe_parameters(endpoint: Endpoint) -> list[Plain]:
    found: list[Plain] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PARAMETER.findall(endpoint.path)
    ]
    for each in endpoint.query:
        schema: Plain = {"type": "string"}
        if each.allowed:
            schema["enum"] = list(each.allowed)
        found.append(
            {
                "name": each.name,
                "in": "query",
                "description": each.about,
                "required": each.is_required,
                "schema": schema,
            }
        )
    if endpoint.method != "GET":
        about = "Needed with the cookie of a session, and for signing in."
        found.append(
            {"name": "X-Posthouse", "in": "header", "description": about, "required": False, "schema": {"const": "1"}}
        )
    return found


def _describe_answers(endpoint: Endpoint, known: Mapping[str, object]) -> Plain:
    answers: Plain = {}
    if endpoint.gives is not None:
        content: Plain = {JSON_TYPE: {"schema": known[repr(endpoint.gives)]}}
        answers[str(endpoint.status)] = {"description": _TITLES[endpoint.status], "content": content}
    elif endpoint.gives_file:
        answers["200"] = {"description": _TITLES[200], "content": {kind: {} for kind in endpoint.gives_file}}
    else:
        answers["204"] = {"description": _TITLES[204]}
    problem: Plain = {PROBLEM: {"schema": {"$ref": _REF.format(name="Problem")}}}
    for status in sorted(find_refusals(endpoint)):
        answers[str(status)] = {"description": _TITLES[status], "content": problem}
    return answers


def find_refusals(endpoint: Endpoint) -> set[int]:
    """Those of its own, and those that come with its access, its body and its parameters."""
    found = set(endpoint.statuses)
    if endpoint.access is not Access.NOBODY:
        found |= {401, 403, 429, 503}  # who is asked for by password may be slowed down, or not be known now
    if endpoint.takes is not None:
        found |= {400, 413, 415}
    if endpoint.query:
        found.add(400)
    if _PARAMETER.search(endpoint.path):
        found.add(404)
    if endpoint.access is Access.ADMIN or endpoint.method != "GET":
        found.add(409)
    return found


# -- the page

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 0.9rem/1.4 ui-monospace, monospace }
pre { overflow-x: auto; padding: .5rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent) }
h3 { margin: 2rem 0 .25rem } table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
"""
_STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def make_page(document: Plain) -> str:
    info, paths = _table(document["info"]), _table(document["paths"])
    groups: dict[str, list[str]] = {}
    for path, methods in paths.items():
        for method, told in _table(methods).items():
            operation = _table(told)
            tags = operation["tags"]
            group = str(tags[0]) if isinstance(tags, list) else ""
            groups.setdefault(group, []).append(_draw(method.upper(), path, operation))
    parts = [f"<h2>{html.escape(name)}</h2>{''.join(drawn)}" for name, drawn in groups.items()]
    schemas = json.dumps(_table(document["components"])["schemas"], indent=1)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(str(info['title']))} HTTP API</title><style>{_STYLE}</style><body>"
        f"<h1>{html.escape(str(info['title']))} {html.escape(str(info['version']))}: HTTP API</h1>"
        f"<p>{html.escape(str(info['description']))}</p><p><a href=/api/openapi.json>OpenAPI 3.1 document</a></p>"
        f"{''.join(parts)}<h2>Types</h2><pre>{html.escape(schemas)}</pre></body></html>"
    )


def _draw(method: str, path: str, told: Plain) -> str:
    rows = [
        f"<tr><td><code>{html.escape(str(each['name']))}</code><td>{html.escape(str(each['in']))}"
        f"<td>{html.escape(str(each.get('description', '')))}"
        for each in _tables(told.get("parameters"))
    ]
    answers = ", ".join(f"{status} {_table(each)['description']}" for status, each in _table(told["responses"]).items())
    body = html.escape(", ".join(_table(_table(told.get("requestBody", {})).get("content", {}))))
    return (
        f"<h3><code>{method} {html.escape(path)}</code></h3><p>{html.escape(str(told['summary']))}</p>"
        f"{'<table>' + ''.join(rows) + '</table>' if rows else ''}"
        f"{'<p>Body: ' + body + '</p>' if body else ''}<p>Answers: {html.escape(answers)}</p>"
    )


def _table(value: object) -> Plain:
    return value if isinstance(value, dict) else {}


def _tables(value: object) -> list[Plain]:
    return [_table(each) for each in value] if isinstance(value, list) else []
