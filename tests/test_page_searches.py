"""Searching a customer, whatever the id is, and the pages that say what is wrong."""

from __future__ import annotations

import dataclasses
import json
from urllib.parse import quote, unquote

import pyarrow as pa
import pytest

from serving.api.page_paths import customer_address
from tests.support.page_text import Page, assert_strict
from tests.support.served_pages import bearer, open_page
from tests.support.services import KEY

ODD_IDS = (
    "a/b",
    "../../etc",
    "with spaces",
    "😀🎉",
    "עברית",
    "x" * 200,
    "00042",
    "a?b=c#d",
    "%2e%2e",
    "<b>bold</b>",
    '"quoted"',
    "a+b&c",
    "..a",
    "客户",
    "a\nb",
    "\r\n",
)


@pytest.fixture
def odd_service(without_history):
    """The served run with odd ids: those of the first customers are replaced."""
    service = without_history()
    served = service.desk.served
    names = sorted(ODD_IDS)
    few = served.run.entries[: len(names)]
    entries = [
        {**entry, "customer_id": name} for entry, name in zip(few.to_pylist(), names, strict=True)
    ]
    run = dataclasses.replace(
        served.run, ids=names, entries=pa.array(entries, type=served.run.entries.type)
    )
    service.desk.served = dataclasses.replace(served, run=run)
    return service


@pytest.mark.parametrize("customer", ODD_IDS)
def test_any_id_is_searched_and_opened(odd_service, customer):
    body = f"customer={quote(customer)}".encode()
    answer = odd_service.spoken("POST", "/search", headers=bearer(), body=(body,))
    assert answer.status == 303
    address = answer.headers["location"]
    assert address == customer_address(customer, "en")
    assert address.count("/") == 2
    page = Page(open_address(odd_service, address))
    assert f"Customer {customer}" in page.text
    [other] = [each for each in page.all_of("a", "href") if each.startswith("/zh/customers/")]
    assert customer in Page(open_address(odd_service, other)).text
    entry = json.loads(open_address(odd_service, f"/v1/customers/{quote(customer)}"))
    assert entry["scores"][0]["customer_id"] == customer


@pytest.mark.parametrize("path", ["/zh\n", "/\n", "/reference\n", "/v1/model\n", "/metrics\n"])
def test_a_path_with_a_line_end_is_no_other_path(shop_service, path):
    assert shop_service.spoken("GET", path, headers=bearer()).status == 404


def open_address(service, address: str) -> str:
    """The page as a server hands an address on: unquoted once."""
    answer = service.spoken("GET", unquote(address), headers=bearer())
    assert answer.status == 200
    return answer.body.decode()


@pytest.mark.parametrize("customer", [".", "..", "", "  ", "\0", "\ud800"])
def test_an_id_that_no_address_can_have_is_refused_as_a_page(shop_service, customer):
    body = f"customer={quote(customer, errors='surrogatepass')}".encode()
    answer = shop_service.spoken("POST", "/zh/search", headers=bearer(), body=(body,))
    assert answer.status == 422
    assert 'lang="zh-Hans"' in answer.body.decode()


def test_an_unknown_customer_is_404_and_the_id_is_not_repeated(shop_service):
    for prefix, title in (("", "There is no such customer"), ("/zh", "没有这个客户")):
        page = open_page(shop_service, f"{prefix}/customers/nobody-of-that-name", 404)
        assert title in page.text
        assert "nobody" not in page.html


def test_an_id_cut_off_at_a_question_mark_is_not_somebody_else(shop_service):
    response = shop_service.get(f"/customers/{shop_service.ids[0]}?b")
    assert response.status_code == 422


def test_a_search_is_sent_from_the_own_pages_alone(shop_service):
    foreign = bearer((b"sec-fetch-site", b"cross-site"))
    answer = shop_service.spoken("POST", "/search", headers=foreign, body=(b"customer=1",))
    assert answer.status == 403
    assert "This form came from another site" in answer.body.decode()
    large = (b"customer=" + b"x" * 20_000,)
    assert shop_service.spoken("POST", "/search", headers=bearer(), body=large).status == 413
    for form in (b"", b"customer", b"other=1", b"customer=%ff", b"\xff", b"&" * 99 + b"a=b"):
        answer = shop_service.spoken("POST", "/search", headers=bearer(), body=(form,))
        assert answer.status == 422, form


def test_a_session_searches_and_sees_pages(shop_service):
    form = (f"key={quote(KEY)}&language=zh".encode(),)
    login = shop_service.spoken("POST", "/login", body=form)
    assert (login.status, login.headers["location"]) == (303, "/zh")
    cookie = [(b"cookie", login.headers["set-cookie"].split(";")[0].encode())]
    customer = shop_service.ids[0]
    answer = shop_service.spoken(
        "POST", "/zh/search", headers=cookie, body=(f"customer={customer}".encode(),)
    )
    assert (answer.status, answer.headers["location"]) == (303, f"/zh/customers/{customer}")
    assert shop_service.spoken("GET", f"/zh/customers/{customer}", headers=cookie).status == 200


def test_without_a_key_a_page_is_the_login_form_of_its_language(shop_service):
    for path, lang in (("/", "en"), ("/zh", "zh-Hans"), ("/zh/customers/000001", "zh-Hans")):
        answer = shop_service.spoken("GET", path)
        page = Page(answer.body.decode())
        assert answer.status == 401
        assert page.all_of("html", "lang") == [lang]
        assert "000001" not in page.html
        assert_strict(page, answer.headers["content-security-policy"])


def test_without_a_run_a_customer_is_503_and_the_start_page_says_what_to_type(
    shop_service, monkeypatch
):
    served = shop_service.desk.served
    monkeypatch.setattr(shop_service.desk, "served", dataclasses.replace(served, run=None))
    assert "There are no scores" in open_page(shop_service, "/customers/000001", 503).text
    assert "lifecycle run" in open_page(shop_service, "/").text
    assert open_page(shop_service, "/report/report.html", 503)


def test_no_id_of_an_address_is_counted_or_logged(shop_service):
    shop_service.get("/customers/Pl4nted")
    shop_service.get("/zh/customers/Pl4nted")
    shop_service.get("/report/Pl4nted")
    text = shop_service.get("/metrics").text
    assert "Pl4nted" not in text
    for name in ("/customers/{id}", "/zh/customers/{id}", "/report/{file}"):
        assert f'route="{name}",status="404"' in text
