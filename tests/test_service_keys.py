"""Without a key everything but the probes is 401; keys, the login's cookie, and the file that keeps
the keys.
"""

from __future__ import annotations

import base64
import json
import os
import stat
import time
from urllib.parse import quote

import pytest
from starlette.testclient import WebSocketDenialResponse

from features.core.errors import StoreFailed
from serving.api import ended_sessions, key_file, keys
from serving.api.middleware import COOKIE, MAX_LOGIN_BYTES, METHODS, PROBES, ROUTES
from tests.support.services import KEY, OTHER_KEY

BENTOML_S_OWN = (
    "/docs.json",
    "/schema.json",
    "/static_content",
    "/static_content/index.html",
    "/health",
    "/is_ready",
)
ODD = (
    "/v1/customers/000001",
    "/v1/customers/",
    "/v1",
    "//",
    "/../keys.json",
    "/livez/",
    "/LIVEZ",
    "/livez%00",
    "/v1/customers/../livez",
    "*",
    "",
    "/é",
    "/\ud800",
    "/" + "x" * 70_000,
    "/login/",
    "/login/x",
    "/healthz/../v1/model",
)
OURS = tuple(path for path in ROUTES if path != "/login")
NO_KEY = {
    "nothing": [],
    "empty": [(b"authorization", b"")],
    "no key": [(b"authorization", b"Bearer")],
    "blank key": [(b"authorization", b"Bearer   ")],
    "another key": [(b"authorization", b"Bearer not-the-key")],
    "the key alone": [(b"authorization", KEY.encode())],
    "another scheme": [(b"authorization", b"Basic " + base64.b64encode(f"user:{KEY}".encode()))],
    "a scheme glued on": [(b"authorization", f"Bearer{KEY}".encode())],
    "a piece of the key": [(b"authorization", f"Bearer {KEY[:-1]}".encode())],
    "more than the key": [(b"authorization", f"Bearer {KEY}x".encode())],
    "both keys": [(b"authorization", f"Bearer {KEY},{OTHER_KEY}".encode())],
    "the key in capitals": [(b"authorization", f"Bearer {KEY.upper()}".encode())],
    "the key with NUL": [(b"authorization", f"Bearer {KEY}\0".encode())],
    "the key's hash": [(b"authorization", f"Bearer {key_file.hash_key(KEY)}".encode())],
    "not ASCII": [(b"authorization", b"Bearer \xff\xfe\xe9")],
    "not ASCII either": [(b"authorization", "Bearer ключ".encode())],
    "long": [(b"authorization", b"Bearer " + b"x" * 60_000)],
    "doubled": [(b"authorization", f"Bearer {KEY}".encode())] * 2,
    "two at odds": [(b"authorization", b"Bearer x"), (b"Authorization", f"Bearer {KEY}".encode())],
    "another header": [(b"x-api-key", KEY.encode())],
    "a forwarded header": [(b"x-forwarded-authorization", f"Bearer {KEY}".encode())],
    "the key as cookie": [(b"cookie", f"{COOKIE}={KEY}".encode())],
    "an empty cookie": [(b"cookie", f"{COOKIE}=".encode())],
    "a cookie that is not ASCII": [(b"cookie", f"{COOKIE}=9999999999.".encode() + b"\xe9")],
    "a cookie in other digits": [(b"cookie", f"{COOKIE}=٩٩٩٩٩٩٩٩٩٩.x".encode())],
    "a cookie without an end": [(b"cookie", f"{COOKIE}={'9' * 5000}.{'a' * 64}".encode())],
    "cookies twice": [(b"cookie", f"{COOKIE}=1.a".encode())] * 2,
}


@pytest.mark.parametrize("method", [*METHODS, "PROPFIND", "get", ""])
def test_without_a_key_every_page_is_401_for_every_method(shop_service, method):
    for path in (*OURS, *BENTOML_S_OWN, *ODD):
        said = shop_service.spoken(method, path, query=f"key={KEY}".encode())
        assert said.status == 401, path[:60]
        assert said.headers["www-authenticate"] == "Bearer"
    if method != "POST":
        assert shop_service.spoken(method, "/login").status == 401


@pytest.mark.parametrize("name", NO_KEY)
def test_what_is_no_key_opens_nothing(shop_service, name):
    for path in ("/v1/model", "/", "/metrics", "/docs.json"):
        assert shop_service.spoken("GET", path, headers=NO_KEY[name]).status == 401
    body = (b'{"customer_ids":["000001"]}',)
    headers = [*NO_KEY[name], (b"content-type", b"application/json")]
    assert shop_service.spoken("POST", "/v1/score", headers=headers, body=body).status == 401


def test_the_probes_answer_without_a_key(shop_service):
    assert [shop_service.spoken("GET", path).status for path in PROBES] == [200, 200, 200]


def test_each_of_the_keys_opens_and_the_scheme_has_no_case(shop_service):
    for said in (f"Bearer {KEY}", f"Bearer {OTHER_KEY}", f"bearer {KEY}", f"BEARER  {KEY} "):
        assert (
            shop_service.spoken(
                "GET", "/v1/model", headers=[(b"authorization", said.encode())]
            ).status
            == 200
        )


def test_without_a_key_the_page_is_a_login_form_and_nothing_else(shop_service):
    form = shop_service.spoken("GET", "/")
    assert form.headers["content-type"].startswith("text/html")
    assert b'action="/login"' in form.body
    assert b"customer_ids" not in form.body
    assert "default-src 'none'" in form.headers["content-security-policy"]


def test_a_websocket_is_refused_like_all_else(shop_service):
    for headers, status in (({}, 401), ({"authorization": f"Bearer {KEY}"}, 404)):
        with (
            pytest.raises(WebSocketDenialResponse) as refusal,
            shop_service.client.websocket_connect("/v1/score", headers=headers),
        ):
            pass
        assert refusal.value.status_code == status


def _login(service, form: bytes):
    return service.spoken(
        "POST",
        "/login",
        headers=[(b"content-type", b"application/x-www-form-urlencoded")],
        body=(form,),
    )


def _session(service) -> bytes:
    said = _login(service, f"key={quote(KEY)}".encode())
    assert (said.status, said.headers["location"]) == (303, "/")
    return said.headers["set-cookie"].split(";")[0].encode()


def test_a_login_opens_what_only_reads(shop_service):
    cookie = [(b"cookie", b"other=1; " + _session(shop_service))]
    for path in ("/", "/v1/model", "/v1/customers/000001", "/metrics", "/openapi.json"):
        assert shop_service.spoken("GET", path, headers=cookie).status == 200
    assert b"customer_ids" in shop_service.spoken("GET", "/reference", headers=cookie).body
    body, kind = (b'{"customer_ids":["000001"]}',), (b"content-type", b"application/json")
    assert (
        shop_service.spoken("POST", "/v1/score", headers=[*cookie, kind], body=body).status == 401
    )


def test_the_cookie_is_for_this_site_and_no_script_and_holds_no_key(shop_service):
    said = _login(shop_service, f"key={quote(KEY)}".encode()).headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    assert KEY not in said
    assert key_file.hash_key(KEY) not in said


def _log_out(service, session: bytes, *more):
    return service.spoken("POST", "/logout", headers=[(b"cookie", session), *more])


def test_a_logout_ends_the_session_for_every_copy_of_its_cookie(shop_service):
    session, other = _session(shop_service), _session(shop_service)
    said = _log_out(shop_service, session)
    assert (said.status, said.headers["location"]) == (303, "/")
    assert f'{COOKIE}=""' in said.headers["set-cookie"]
    assert "Max-Age=0" in said.headers["set-cookie"]
    assert shop_service.spoken("GET", "/v1/model", headers=[(b"cookie", session)]).status == 401
    assert shop_service.spoken("GET", "/v1/model", headers=[(b"cookie", other)]).status == 200
    assert _log_out(shop_service, session).status == 401


def test_a_link_logs_nobody_out(shop_service):
    session = _session(shop_service)
    assert shop_service.spoken("GET", "/logout", headers=[(b"cookie", session)]).status == 405
    assert shop_service.spoken("GET", "/v1/model", headers=[(b"cookie", session)]).status == 200


def test_what_cannot_be_written_down_is_no_logout(home):
    (home / ended_sessions.FILE).mkdir()
    with pytest.raises(StoreFailed, match="logout"):
        ended_sessions.end("1.a")
    assert ended_sessions.is_ended("1.a")


def test_expired_logouts_are_forgotten_once_there_are_many(home, monkeypatch):
    monkeypatch.setattr(ended_sessions, "MANY_BYTES", 10)
    until = int(time.time()) + 100
    for session in ("5-old.a", f"{until}-one.b", f"{until}-two.c"):
        ended_sessions.end(session)
    path = home / ended_sessions.FILE
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o077 == 0
    assert ended_sessions.is_ended(f"{until}-one.b")
    assert not ended_sessions.is_ended(f"{until}-three.d")


FOREIGN = {
    "another site": [(b"sec-fetch-site", b"cross-site")],
    "another subdomain": [(b"sec-fetch-site", b"same-site"), (b"origin", b"http://here")],
    "another origin": [(b"origin", b"http://there"), (b"host", b"here")],
    "no origin told": [(b"origin", b"null"), (b"host", b"here")],
    "another port": [(b"origin", b"http://here:1"), (b"host", b"here:2")],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_form_of_another_site_logs_nobody_in_or_out(shop_service, name):
    said = shop_service.spoken(
        "POST", "/login", headers=FOREIGN[name], body=(f"key={quote(KEY)}".encode(),)
    )
    assert (said.status, said.json()["error"]) == (403, "OriginRefused")
    session = _session(shop_service)
    assert _log_out(shop_service, session, *FOREIGN[name]).status == 403
    assert shop_service.spoken("GET", "/v1/model", headers=[(b"cookie", session)]).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        [(b"sec-fetch-site", b"same-origin"), (b"origin", b"https://front"), (b"host", b"inner")],
        [(b"origin", b"http://here:3000"), (b"host", b"here:3000")],
        [(b"origin", b"https://front"), (b"host", b"inner"), (b"x-forwarded-host", b"front")],
    ],
)
def test_the_own_form_logs_in_behind_a_proxy_too(shop_service, headers):
    body = (f"key={quote(KEY)}".encode(),)
    assert shop_service.spoken("POST", "/login", headers=headers, body=body).status == 303


def test_behind_tls_the_cookie_is_secure(shop_service):
    body = (f"key={quote(KEY)}".encode(),)
    behind = [(b"x-forwarded-proto", b"https")]
    said = shop_service.spoken("POST", "/login", headers=behind, body=body)
    assert "Secure" in said.headers["set-cookie"]
    assert "Secure" not in _login(shop_service, body[0]).headers["set-cookie"]


def test_a_login_opens_pages_only_and_the_refusal_says_so(shop_service):
    headers = [(b"cookie", _session(shop_service)), (b"content-type", b"application/json")]
    said = shop_service.spoken("POST", "/v1/score", headers=headers, body=(b"{}",))
    assert (said.status, said.json()["error"]) == (401, "KeyMissing")
    assert "A login opens pages to read" in said.json()["rule"]


def test_a_wrong_key_is_told_apart_from_a_missing_one(shop_service):
    for headers, error in (
        ([], "KeyMissing"),
        ([(b"authorization", b"Bearer wrong")], "KeyUnknown"),
        ([(b"cookie", f"{COOKIE}=1-a.b".encode())], "KeyUnknown"),
    ):
        said = shop_service.spoken("GET", "/v1/model", headers=headers)
        assert (said.status, said.json()["error"]) == (401, error)
        assert "wrong" not in said.body.decode()


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"key=",
        b"key=wrong",
        b"KEY=" + KEY.encode(),
        b"key=%ff%fe",
        b"key=\xff\xfe",
        b"key=%00",
        b"key[]=" + KEY.encode(),
        b"{}",
        b"key=x&key=" + KEY.encode(),
        b"key=" + key_file.hash_key(KEY).encode(),
        b"&" * MAX_LOGIN_BYTES,
        b"key=" + KEY.encode() + b"&x=" + b"x" * MAX_LOGIN_BYTES,
        b"key=" + KEY.encode() + b"x" * (1 << 20),
    ],
)
def test_a_wrong_login_is_the_form_again(shop_service, form):
    said = _login(shop_service, form)
    assert said.status == 401
    assert "set-cookie" not in said.headers
    assert b'action="/login"' in said.body


def test_a_login_that_stops_midway_is_no_key(shop_service):
    said = shop_service.spoken("POST", "/login", body=(b"key=" + KEY.encode(), None))
    assert said is None or said.status == 401


def test_a_session_ends_and_cannot_be_made_longer():
    known, now = (
        keys.Keys("environment", (key_file.hash_key(KEY), key_file.hash_key(OTHER_KEY))),
        1_700_000_000.0,
    )
    value = known.new_session(KEY, now=now)
    content, _, signature = value.partition(".")
    until, _, name = content.partition("-")
    assert known.is_session(value, now=now + keys.SESSION_SECONDS - 1)
    assert not known.is_session(value, now=now + keys.SESSION_SECONDS)
    forged = [
        f"{int(until) + 1}-{name}.{signature}",
        f"{content}.",
        content,
        f".{signature}",
        "",
        f"{content}.{signature}x",
        f"0{content}.{signature}",
        f"{until}.{signature}",
        f"{until}-.{signature}",
        f"{content}.{signature.upper()}",
        f"{content}.é",
        f"٣.{signature}",
        "\ud800.\ud800",
    ]
    assert not any(known.is_session(one, now=now) for one in forged)


def test_a_session_outlives_every_key_but_its_own():
    first, second = key_file.hash_key(KEY), key_file.hash_key(OTHER_KEY)
    value = keys.Keys("file", (second, first)).new_session(KEY, now=time.time())
    assert keys.Keys("file", (second, first)).is_session(value, now=time.time())
    assert not keys.Keys("file", (second,)).is_session(value, now=time.time())


def test_where_there_is_no_key_nothing_opens():
    none = keys.Keys("none", ())
    assert not none.accepts("")
    assert not none.is_session("1.a", now=0)


def test_a_made_key_opens_and_only_its_hash_is_kept_for_its_owner_alone(home, monkeypatch):
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)
    usual = os.umask(0)
    try:
        first, second = key_file.make_key().text, key_file.make_key().text
    finally:
        os.umask(usual)
    path = home / key_file.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first not in path.read_text()
    assert second not in path.read_text()
    assert [one.name for one in home.iterdir()] == [key_file.FILE]
    found = keys.load_keys()
    assert (found.source, found.count, found.problem) == ("file", 2, "")
    assert found.accepts(first)
    assert found.accepts(second)
    assert not found.accepts(first + second)


def test_keys_of_the_environment_come_first(home, monkeypatch):
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)
    made = key_file.make_key().text
    monkeypatch.setenv("LIFECYCLE_API_KEYS", " a , ,b,, ")
    found = keys.load_keys()
    assert (found.source, found.count) == ("environment", 2)
    assert found.accepts("a")
    assert not found.accepts("")
    assert not found.accepts(made)


def test_a_key_file_others_can_read_is_told(home, monkeypatch):
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)
    key_file.make_key()
    (home / key_file.FILE).chmod(0o644)
    assert "others" in keys.load_keys().problem


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"keys": 3}',
        '{"keys": [{}]}',
        '{"keys": ["a"]}',
        "\x00",
        '{"keys": []}',
    ],
)
def test_a_damaged_key_file_opens_nothing(home, monkeypatch, text):
    monkeypatch.delenv("LIFECYCLE_API_KEYS", raising=False)
    (home / key_file.FILE).write_text(text)
    found = keys.load_keys()
    assert found.count == 0
    assert not found.accepts("")
    assert found.problem or json.loads(text) == {"keys": []}


def test_a_home_that_cannot_be_written_is_told(home, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(home / "file"))
    (home / "file").write_text("")
    with pytest.raises(StoreFailed, match="LIFECYCLE_HOME must be writable"):
        key_file.make_key()
