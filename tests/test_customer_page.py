"""The page of a customer: the numbers of the API, what was known before as_of, in two languages."""

from __future__ import annotations

import dataclasses
import re
import shutil
from datetime import datetime
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.contract import CONTRACT
from features.core.language import CHINESE, use_language
from features.recipes.stages import STAGES
from serving.api.console.events import NEWEST, build_timeline, list_complaints
from serving.api.console.words import rule_sentence, warning_sentence
from serving.api.console.writing import Writer
from serving.api.page_paths import customer_address
from tests.support.page_text import Page, assert_strict
from tests.support.services import KEY

AS_OF = 1_700_000_000_000_000
WRITE = Writer("UTC", "EUR", 2)
INJECTED = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;"\''


def open_page(service, path: str, status: int = 200) -> Page:
    response = service.get(path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(response.text)
    assert_strict(page, response.headers["content-security-policy"])
    return page


def rows(name: str, *cells: dict) -> pa.Table:
    """Known rows of one customer, newest first as they are read; other columns are null."""
    types = {"id": pa.string(), "text": pa.string(), "flag": pa.bool_(), "number": pa.float64()}
    columns = {
        column.name: pa.array([each.get(column.name) for each in cells], _type(column, types))
        for column in CONTRACT[name].columns
    }
    return pa.table(columns)


def _type(column, types):
    return types.get(column.type, pa.int64())


def sample(service) -> list[str]:
    """A customer of each stage, and some more."""
    scores = pq.read_table(service.desk.served.run.folder / "scores.parquet")
    stages = dict(zip(scores["stage"].to_pylist(), scores["customer_id"].to_pylist(), strict=True))
    return [*stages.values(), *service.ids[:5]]


def test_every_number_is_that_of_the_answer_bit_for_bit(any_service):
    for customer in sample(any_service):
        [entry] = any_service.get(f"/v1/customers/{customer}").json()["scores"]
        for address in (f"/customers/{customer}", f"/zh/customers/{customer}"):
            page = open_page(any_service, address)
            for column, values in page.figures.items():
                assert {float(value) for value in values} == {entry[column]}, column
            shown = set(page.figures) | {
                each["data-column"] for _, each in page.elements if "data-column" in each
            }
            numbers = {
                name
                for name, value in entry.items()
                if isinstance(value, float) and name.startswith(("p_", "clv", "expected"))
            }
            assert shown >= numbers
            assert customer in page.text


def test_bars_and_points_name_their_columns(shop_service):
    customer = next(
        each
        for each in shop_service.ids
        if shop_service.get(f"/v1/customers/{each}").json()["scores"][0]["p_churn"] is not None
    )
    page = open_page(shop_service, f"/customers/{customer}")
    marks = {
        (each["data-table"], each["data-row"], each["data-column"])
        for tag, each in page.elements
        if tag in ("rect", "circle") and "data-column" in each
    }
    assert {("scores", "0", f"p_next_{stage}") for stage in STAGES} <= marks
    assert any(column.startswith("p_active_") for _, _, column in marks)


def test_the_timeline_is_the_history_before_as_of_newest_first(any_service):
    run = any_service.desk.served.run
    end = datetime.fromisoformat(any_service.as_of)
    for customer in sample(any_service):
        page = open_page(any_service, f"/customers/{customer}")
        moments = [datetime.fromisoformat(each) for each in page.all_of("time", "datetime")]
        assert all(moment < end for moment in moments)
        bought = pq.read_table(
            run.folder / "history" / "transactions.parquet",
            filters=[("customer_id", "==", customer)],
        )
        newest = sorted(bought["occurred_at"].to_pylist(), reverse=True)[:3]
        known = {int(moment.timestamp() * 1e6) for moment in moments}
        assert len(moments) >= NEWEST or set(newest) <= known


@pytest.mark.parametrize(("at", "count"), [(AS_OF - 1, 1), (AS_OF, 0), (AS_OF + 1, 0)])
def test_an_event_on_the_border_is_shown_only_before_it(at, count):
    bought = rows("transactions", {"occurred_at": at, "amount": 1999, "kind": "purchase"})
    assert build_timeline({"transactions": bought}, AS_OF, WRITE).total == count


def test_what_an_answer_or_a_term_brings_later_is_no_event_yet():
    feedback = rows(
        "feedback",
        {"occurred_at": AS_OF - 9, "kind": "csat", "answered_at": AS_OF, "score": 4.0},
        {"occurred_at": AS_OF - 10, "kind": "complaint", "resolved_at": AS_OF + 1},
    )
    contracts = rows(
        "contracts",
        {"starts_at": AS_OF + 5, "ends_at": AS_OF + 9, "recorded_at": AS_OF - 8, "plan": "gold"},
    )
    timeline = build_timeline({"feedback": feedback, "contracts": contracts}, AS_OF, WRITE)
    assert [event.what for event in timeline.events] == [
        "Contract agreed",
        "CSAT survey sent",
        "Complaint",
    ]


def test_only_the_newest_events_of_all_tables_are_shown():
    bought = rows(
        "transactions",
        *({"occurred_at": AS_OF - 2 * k - 1, "amount": k, "kind": "purchase"} for k in range(300)),
    )
    visits = rows(
        "interactions", *({"occurred_at": AS_OF - 2 * k - 2, "kind": "visit"} for k in range(300))
    )
    timeline = build_timeline({"transactions": bought, "interactions": visits}, AS_OF, WRITE)
    assert timeline.total == 600
    assert [event.at for event in timeline.events] == [AS_OF - k - 1 for k in range(NEWEST)]


def test_complaints_that_are_open_come_first():
    feedback = rows(
        "feedback",
        {"occurred_at": 9, "kind": "complaint", "resolved_at": 10},
        {"occurred_at": 8, "kind": "csat"},
        {"occurred_at": 7, "kind": "complaint", "topic": "late"},
    )
    assert [(each.at, each.resolved_at) for each in list_complaints(feedback)] == [
        (7, None),
        (9, 10),
    ]


def test_a_prospect_has_a_stage_and_no_score(any_service):
    scores = pq.read_table(any_service.desk.served.run.folder / "scores.parquet")
    prospects = scores.filter(pc.equal(scores["stage"], "prospect"))["customer_id"]
    if not len(prospects):
        pytest.skip("no prospect in this business")
    page = open_page(any_service, f"/customers/{prospects[0].as_py()}")
    assert "There is no score for this customer." in page.text
    assert "No activity yet" in page.text


@pytest.fixture
def without_history(shop_service, tmp_path):
    """The served run without tables of its history, or with others: a function of the tables."""
    served = shop_service.desk.served

    def replace(**tables):
        folder = tmp_path / "run"
        shutil.copytree(served.run.folder, folder)
        for name, table in tables.items():
            path = folder / "history" / f"{name}.parquet"
            path.unlink(missing_ok=True)
            if table is not None:
                pq.write_table(table, path)
        run = dataclasses.replace(served.run, folder=folder)
        shop_service.desk.served = dataclasses.replace(served, run=run)
        return shop_service

    yield replace
    shop_service.desk.served = served


def test_without_feedback_and_consent_nothing_is_said_of_them(without_history):
    service = without_history(feedback=None, customers=None)
    page = open_page(service, f"/customers/{service.ids[0]}")
    assert "complaint" not in page.text.lower().replace("complaints in", "")
    assert "consent" not in page.text


@pytest.mark.parametrize(("flag", "text"), [(True, "yes"), (False, "no"), (None, "not known")])
def test_consent_is_that_of_the_current_version(without_history, flag, text):
    customer = "000001"
    known = rows(
        "customers",
        {"customer_id": customer, "valid_from": 5, "consent": flag, "segment": "b"},
        {"customer_id": customer, "valid_from": 1, "consent": True, "segment": "a"},
    )
    page = open_page(without_history(customers=known), f"/customers/{customer}")
    details = page.html[page.html.index('id="details"') :]
    assert re.search(rf"<dt>consent</dt><dd>{text}</dd>", details)
    assert "<dd><bdi>b</bdi></dd>" in details


def test_what_a_business_wrote_is_text_and_never_markup(without_history):
    customer = "000001"
    texts = dict.fromkeys(("category", "channel", "method", "transaction_id"), INJECTED)
    service = without_history(
        transactions=rows(
            "transactions",
            {"customer_id": customer, "occurred_at": 1, "amount": 5, "kind": "purchase", **texts},
        ),
        interactions=rows(
            "interactions", {"customer_id": customer, "occurred_at": 2, "kind": INJECTED}
        ),
        feedback=rows(
            "feedback",
            {
                "customer_id": customer,
                "occurred_at": 3,
                "kind": "complaint",
                "topic": INJECTED,
                "item": "{0} {customer} %s {{ 7 * 7 }}",
            },
        ),
        contracts=rows(
            "contracts",
            {"customer_id": customer, "starts_at": 1, "recorded_at": 1, "plan": INJECTED},
        ),
        customers=rows(
            "customers", {"customer_id": customer, "segment": INJECTED, "valid_from": 1}
        ),
    )
    for prefix in ("", "/zh"):
        page = open_page(service, f"{prefix}/customers/{customer}")
        assert page.text.count(INJECTED) >= 8
        assert "{0} {customer} %s {{ 7 * 7 }}" in page.text
        assert "img" not in page.names()


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


def bearer(*more):
    return [(b"authorization", f"Bearer {KEY}".encode()), *more]


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


def test_start_and_reference_link_to_each_other_and_to_the_other_language(shop_service):
    start = open_page(shop_service, "/")
    assert {"/reference", "/zh"} <= set(start.all_of("a", "href"))
    assert "/" in open_page(shop_service, "/reference").all_of("a", "href")
    chinese = open_page(shop_service, "/zh")
    assert chinese.all_of("html", "lang") == ["zh-Hans"]
    assert chinese.all_of("form", "action") == ["/logout", "/zh/search"]
    assert "查找客户" in chinese.text


def test_a_page_has_headings_labels_and_scopes(shop_service):
    page = open_page(shop_service, f"/customers/{shop_service.ids[0]}")
    assert len([name for name, _ in page.elements if name == "h1"]) == 1
    assert all("scope" in each for name, each in page.elements if name == "th")
    ids = [each["id"] for _, each in page.elements if "id" in each]
    assert len(ids) == len(set(ids))
    for _, each in page.elements:
        assert each.get("aria-labelledby", ids[0]) in ids
    assert set(open_page(shop_service, "/").all_of("label", "for")) == {"customer"}


def test_no_id_of_an_address_is_counted_or_logged(shop_service):
    shop_service.get("/customers/Pl4nted")
    shop_service.get("/zh/customers/Pl4nted")
    shop_service.get("/report/Pl4nted")
    text = shop_service.get("/metrics").text
    assert "Pl4nted" not in text
    for name in ("/customers/{id}", "/zh/customers/{id}", "/report/{file}"):
        assert f'route="{name}",status="404"' in text


@pytest.mark.parametrize(
    "warning",
    [
        "in_sample",
        "without:feedback",
        "curve_ends_at:90d",
        "ineligible:no_activity_in_120_days",
        "clv_extrapolated:200d",
        "rate_of:own_past",
        "as_of_after_data_until:2d_at_most",
        "scored_by_another_release",
        "p_upgrade:no_skill",
    ],
)
def test_a_warning_is_a_sentence_in_both_languages(warning):
    assert warning_sentence(warning) != warning
    with use_language(CHINESE):
        assert re.search("[\u4e00-\u9fff]", warning_sentence(warning))
    assert warning_sentence("a mark nobody knows") == "a mark nobody knows"


def test_the_rule_of_a_stage_says_how_many_gaps():
    rule = rule_sentence("overdue_at_risk", "at_risk", (1.5, 3.0, 6.0))
    assert rule == "The last activity is at least 1.5 usual gaps ago."
    assert "cover still runs" in rule_sentence("overdue_churned", "dormant", (1.5, 3.0, 6.0))
    assert "usual gap" in rule_sentence("overdue_churned", "churned", None)
