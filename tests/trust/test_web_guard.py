"""Which requests with a cookie are believed, and what the cookie looks like."""

from __future__ import annotations

import pytest

from posthouse.trust.web_guard import (
    BrowserRequest,
    cookie_name,
    find_forgery,
    find_token,
    make_cookie,
    make_end,
    may_sign_in,
)

OURS = {"x-posthouse": "1", "sec-fetch-site": "same-origin", "origin": "https://mail.example.org"}


def request(
    method: str = "GET", headers: dict[str, str] | None = None, *, https: bool = True, local: bool = False
) -> BrowserRequest:
    origin = f"{'https' if https else 'http'}://mail.example.org"
    return BrowserRequest(method, headers or {}, origin, https, local)


def test_the_cookie_over_https_is_bound_to_the_host_and_to_https() -> None:
    assert make_cookie(request(), "abc", 60.9) == (
        "__Host-posthouse=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
    )


def test_the_cookie_on_this_machine_without_tls_is_a_plain_one() -> None:
    made = make_cookie(request(https=False, local=True), "abc", 60)
    assert made == "posthouse=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"


def test_signing_out_takes_the_cookie_away() -> None:
    assert make_end(request()) == "__Host-posthouse=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure"


def test_from_elsewhere_without_tls_nobody_signs_in_and_no_cookie_counts() -> None:
    elsewhere = request(https=False)
    assert not may_sign_in(elsewhere)
    assert find_token(elsewhere, {"posthouse": "abc", "__Host-posthouse": "abc"}) == ""
    assert may_sign_in(request())
    assert may_sign_in(request(https=False, local=True))


def test_over_https_a_plain_cookie_of_a_neighbour_does_not_count() -> None:
    assert find_token(request(), {"posthouse": "planted"}) == ""
    assert find_token(request(), {"posthouse": "planted", "__Host-posthouse": "ours"}) == "ours"
    assert cookie_name(request(https=False, local=True)) == "posthouse"


def test_our_own_page_is_believed() -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert find_forgery(request(method, OURS)) == ""


def test_an_old_browser_without_fetch_metadata_is_believed_by_its_header() -> None:
    assert find_forgery(request("POST", {"x-posthouse": "1"})) == ""
    assert find_forgery(request("GET")) == ""


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "MKCOL"])
def test_a_change_without_the_header_is_refused(method: str) -> None:
    headers = {name: value for name, value in OURS.items() if name != "x-posthouse"}
    assert "X-Posthouse" in find_forgery(request(method, headers))
    assert "X-Posthouse" in find_forgery(request(method, {**headers, "x-posthouse": "0"}))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "nonsense"])
def test_a_change_asked_for_by_another_site_is_refused(site: str) -> None:
    assert find_forgery(request("POST", {**OURS, "sec-fetch-site": site}))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://mail.example.org", "https://mail.example.org:8443"]
)
def test_a_change_asked_for_by_another_origin_is_refused(origin: str) -> None:
    assert find_forgery(request("POST", {**OURS, "origin": origin}))


def test_reading_from_another_sites_page_is_refused_but_typing_the_address_is_not() -> None:
    assert find_forgery(request("GET", {"sec-fetch-site": "cross-site"}))
    assert find_forgery(request("GET", {"sec-fetch-site": "same-site"}))
    assert find_forgery(request("GET", {"sec-fetch-site": "none"})) == ""


def test_a_websocket_must_name_our_origin() -> None:
    assert find_forgery(request("GET", OURS), is_socket=True) == ""
    assert find_forgery(request("GET", {}), is_socket=True)
    assert find_forgery(request("GET", {"origin": "https://evil.example"}), is_socket=True)
    assert find_forgery(request("GET", {**OURS, "sec-fetch-site": "none"}), is_socket=True)
