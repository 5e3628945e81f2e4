"""The page of a customer: the numbers of the API, what was known before as_of, in two languages."""

from __future__ import annotations

import re
from datetime import datetime

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.language import CHINESE, use_language
from features.recipes.stages import STAGES
from serving.api.console.events import NEWEST, build_timeline, list_complaints
from serving.api.console.words import rule_sentence, warning_sentence
from serving.api.console.writing import Writer
from tests.support.served_pages import open_page, rows

AS_OF = 1_700_000_000_000_000
WRITE = Writer("UTC", "EUR", 2)
INJECTED = '<script>alert("x")</script><img src=x onerror=alert(1)>&amp;"\''


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


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "of another file": lambda path: path.write_bytes(b"x" * path.stat().st_size),
}


@pytest.mark.parametrize("table", ["transactions", "feedback", "customers"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_is_said_and_never_a_customer_without_events(
    without_history, table, damage
):
    service = without_history()
    DAMAGES[damage](service.desk.served.run.folder / "history" / f"{table}.parquet")
    customer = service.ids[0]
    page = open_page(service, f"/customers/{customer}", 503)
    assert "The scores cannot be read" in page.text
    assert "missing or damaged" in page.text
    assert customer not in page.html
    assert "评分" in open_page(service, f"/zh/customers/{customer}", 503).text


def test_complaints_beyond_the_newest_are_counted_and_said(without_history):
    customer, count = "000001", NEWEST + 37
    complaints = [
        {"customer_id": customer, "occurred_at": at, "kind": "complaint", "topic": f"topic {at}"}
        for at in range(count, 0, -1)
    ]
    service = without_history(feedback=rows("feedback", *complaints))
    page = open_page(service, f"/customers/{customer}")
    card = page.html[page.html.index('id="complaints"') :]
    assert str(count) in card[: card.index("<table")]
    assert f"The first {NEWEST} of them are listed" in card
    assert card[: card.index("</table>")].count("<tr>") == NEWEST + 1


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
