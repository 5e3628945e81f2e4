"""One definition at every door: the API's scores are the batch's, by id and by raw events, however
many come together.
"""

from __future__ import annotations

import dataclasses
import json
import os

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import Malformed, ReleaseRefused
from features.core.instants import DAY_US
from features.engine.business_columns import load_custom
from features.engine.columns import list_columns
from features.recipes.stages import STAGES
from features.tables.freshness import needed_tables
from serving.api import state as desks
from serving.api.answers import COLUMNS
from serving.api.questions import parse_request
from serving.api.schemas import RequestedId, rfc3339
from serving.api.state import ServingState
from serving.batch import run_folders
from serving.forget.forget import forget
from serving.forget.id_list import IdList
from tests.support.businesses import copied, scores
from tests.support.raw_events import known_events, request
from tests.support.services import BEARER
from training import examples, plan

# Where a test opens a service of its own, what it promises does not depend on the business.
one_business = pytest.mark.parametrize(
    "any_business",
    [
        "trained_shop",
        pytest.param("trained_subscriptions", marks=[pytest.mark.slow, pytest.mark.long]),
        pytest.param("trained_catalogue", marks=[pytest.mark.slow, pytest.mark.long]),
    ],
    indirect=True,
)


@pytest.fixture(scope="module")
def expected(any_business):
    """customer_id -> the batch row, without what the answer says once."""
    return {
        row["customer_id"]: {name: row[name] for name in COLUMNS}
        for row in scores(any_business).to_pylist()
    }


def asked(any_service, body):
    answer = any_service.ask(body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bare(entries):
    return [{name: entry[name] for name in COLUMNS} for entry in entries]


@pytest.mark.parametrize("together", [1, 7, 200])
def test_by_id_the_answer_is_the_run(any_business, any_service, expected, together):
    ids = list(expected)[:200][::-1]
    for start in range(0, 200, together):
        mine = ids[start : start + together]
        said = asked(any_service, {"customer_ids": mine})
        assert (said["release_id"], said["as_of"]) == (
            any_business.release.id,
            rfc3339(any_business.run.as_of),
        )
        assert bare(said["scores"]) == [expected[one] for one in mine]


@pytest.mark.parametrize(("together", "customers"), [(1, 8), (7, 42), (200, 200)])
def test_by_raw_events_the_answer_is_the_batch_to_the_bit(
    any_business, any_service, expected, together, customers
):
    at, active = (
        any_business.run.as_of,
        [one for one, row in expected.items() if row["stage"] != "prospect"],
    )
    events = known_events(any_business.history, any_business.settings, as_of=at)
    for start in range(0, customers, together):
        mine = active[:customers][start : start + together][::-1]
        body = {
            "as_of": rfc3339(at),
            "customers": [{"customer_id": one, **events[one]} for one in mine],
        }
        assert bare(asked(any_service, body)["scores"]) == [expected[one] for one in mine]


def test_the_order_of_events_does_not_matter(any_business, any_service, expected):
    ids = [one for one, row in expected.items() if row["stage"] != "prospect"][:20]
    one, other = (
        asked(
            any_service,
            request(
                any_business.history,
                any_business.settings,
                ids,
                as_of=any_business.run.as_of,
                order=way,
            ),
        )
        for way in (1, -1)
    )
    assert one == other


def test_a_training_row_is_the_online_row(any_business, any_service):
    """At the date of the release's base: the row a model learns from, and the row a request is
    scored with.
    """
    at = max(any_business.dates.refit)
    made = examples.make_examples(
        any_business.history, any_business.settings, plan.Plan((at,), (at,), (at,))
    )
    ids = made.rows["customer_id"].to_pylist()[:100]
    rows = made.rows.filter(pc.is_in(made.rows["customer_id"], pc.cast(ids, "string")))
    frozen = dataclasses.replace(made, definitions=any_business.release.scorer.definitions)
    assert frozen.definitions == made.definitions
    sent = request(any_business.history, any_business.settings, ids, as_of=at)
    said = asked(any_service, {**sent, "in_sample": True})["scores"]
    p, p_next = any_business.release.scorer.score(rows)
    assert [entry["p_churn"] for entry in said] == p.tolist()
    assert [[entry[f"p_next_{stage}"] for stage in STAGES] for entry in said] == p_next.tolist()


def test_a_prospect_and_a_stranger_have_entries_of_their_own(any_business, any_service, expected):
    known = next(iter(expected))
    said = asked(any_service, {"customer_ids": ["nobody-knows", known, "nobody-knows"]})["scores"]
    assert [entry["customer_id"] for entry in said] == ["nobody-knows", known, "nobody-knows"]
    assert said[0] == said[2]
    assert (said[0]["error"], said[0]["p_churn"], said[1]["error"]) == (
        "unknown_customer",
        None,
        None,
    )
    nothing = {name: [] for name in needed_tables(any_business.settings)}
    body = {
        "as_of": rfc3339(any_business.run.as_of),
        "customers": [{"customer_id": " new one ", **nothing}],
    }
    [prospect] = asked(any_service, body)["scores"]
    assert (prospect["customer_id"], prospect["stage"], prospect["error"], prospect["p_churn"]) == (
        " new one ",
        "prospect",
        "prospect",
        None,
    )


def test_cover_alone_has_a_score_that_is_one_distribution(any_business, any_service):
    if not any_business.release.scorer.definitions.contractual:
        pytest.skip("a business without contracts")
    at = any_business.run.as_of
    begun = rfc3339(at - DAY_US // 24)
    nothing = {name: [] for name in any_business.release.tables}
    terms = {
        "open-ended": {"starts_at": begun},
        "far away": {"starts_at": begun, "ends_at": "9999-12-31T00:00:00Z"},
        "cancelled": {
            "starts_at": begun,
            "ends_at": rfc3339(at + 21 * DAY_US),
            "cancelled_at": rfc3339(at - 1),
        },
    }
    body = {
        "as_of": rfc3339(at),
        "customers": [
            nothing | {"customer_id": name, "contracts": [{"plan": "monthly", **row}]}
            for name, row in terms.items()
        ],
    }
    entries = asked(any_service, body)["scores"]
    for entry in entries:
        assert (entry["error"], entry["stage"], entry["eligible"]) == (None, "new", True)
        assert (entry["stage_rule"], entry["evidence"]) == ("cover_alone", "none")
        p_next = {stage: entry[f"p_next_{stage}"] for stage in STAGES}
        assert sum(p_next.values()) == pytest.approx(1)
        # Who leaves has churned, and nobody who stays does.
        assert p_next["churned"] == pytest.approx(entry["p_churn"])
        assert p_next["new"] > 0
    assert [("cancelled" in entry["warnings"]) for entry in entries] == [False, False, True]
    assert bare(entries)[0] == {**bare(entries)[1], "customer_id": "open-ended"}


def test_one_customer_has_the_run_s_features(any_business, any_service, expected):
    one = next(name for name, row in expected.items() if row["stage"] != "prospect")
    said = any_service.get(f"/v1/customers/{one}").json()
    rows = pq.read_table(
        any_business.run.folder / "features.parquet", filters=[("customer_id", "==", one)]
    ).to_pylist()
    assert bare(said["scores"]) == [expected[one]]
    assert said["features"]["recency"] == rows[0]["recency"]
    assert {column.name for column in any_business.release.columns} <= set(said["features"])
    assert any_service.get("/v1/customers/nobody-knows").status_code == 404


def test_the_base_of_another_day_is_a_warning_and_one_of_tomorrow_is_refused(
    any_business, any_service, expected
):
    one = next(name for name, row in expected.items() if row["stage"] != "prospect")
    later = request(
        any_business.history,
        any_business.settings,
        [one],
        as_of=any_business.run.as_of + 5 * DAY_US,
    )
    assert "population_is_5_days_old" in asked(any_service, later)["scores"][0]["warnings"]
    early = any_service.ask({**later, "as_of": "1999-01-01T00:00:00Z"})
    assert (early.status_code, early.json()["where"]) == (422, "as_of")


@pytest.mark.parametrize(("page", "allow"), [("/v1/score", "POST"), ("/v1/model", "GET, HEAD")])
def test_another_method_is_told_which_one_is_right(any_service, page, allow):
    answer = any_service.client.request("DELETE", page, headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)


def test_the_model_page_tells_what_is_served(any_business, any_service):
    said = any_service.get("/v1/model").json()
    assert said["release_id"] == any_business.release.id
    assert said["evaluation"] == json.loads(json.dumps(any_business.release.evaluation))
    assert (said["run"]["rows"], said["run"]["as_of"]) == (
        any_business.run.rows,
        rfc3339(any_business.run.as_of),
    )
    assert said["problem"] == ""


@one_business
def test_a_newer_run_is_taken_over_and_a_damaged_one_is_not(any_business, home, expected):
    """In a home of its own, since other tests read the shared one."""
    own = copied(any_business, home)
    desk, pointer = ServingState.load(), own.home / "scores" / "LATEST"
    before, first_pointer = desk.served, pointer.read_text()
    later = run_folders.score_batch(
        own.history, own.settings, own.release, as_of=own.run.as_of + DAY_US
    )
    desk.refresh()
    assert desk.served.run.as_of == later.as_of == before.run.as_of + DAY_US
    assert desk.served.release is before.release
    newest = (later.folder / "scores.parquet").read_bytes()
    (later.folder / "scores.parquet").write_bytes(newest[:-1] + b"?")
    pointer.write_text(first_pointer)
    desk.refresh()
    assert desk.served.run.as_of == own.run.as_of
    folder = later.folder.relative_to(pointer.parent).as_posix()
    pointer.write_text(json.dumps({"as_of": later.as_of, "folder": folder}))
    desk.refresh()
    assert desk.served.run.as_of == own.run.as_of
    assert "hashes" in desk.problem
    pointer.write_text(first_pointer)
    desk.refresh()
    assert desk.problem == ""
    ids = list(expected)[:5]
    answer = desk.score_by_id([RequestedId(raw=one, normalized=one) for one in ids], as_of=None)
    assert bare(answer["scores"]) == [expected[one] for one in ids]


@one_business
def test_who_is_forgotten_is_unknown_to_a_running_service(any_business, home, expected):
    own = copied(any_business, home)
    desk, (gone, *others) = ServingState.load(), list(expected)[:5]
    forget(own.settings, IdList((gone,), 0))
    desk.refresh()
    assert desk.problem == ""
    assert desk.served.run.row_of(gone) is None
    answer = desk.score_by_id([RequestedId(raw=one, normalized=one) for one in others], as_of=None)
    assert bare(answer["scores"]) == [expected[one] for one in others]


UNSTEADY = '''from lifecycle import Recipe, Reduction, feature

turns = []  # steady while it is empty: the check of own features would refuse another value


def turn():
    if turns:
        turns.append(1)
    return len(turns)


@feature(tables=("transactions",), unit="purchases", words="{value:.0f} purchases and a turn")
def turning():
    """Purchases, and how often this function ran.

    Formula: count + turn. Window: all time. Null: never (0). Source: ours.
    """
    reductions = {"n": Reduction("transactions", "count", kinds=("purchase",))}
    return Recipe(reductions, lambda r, now: r.n + turn())
'''


@one_business
def test_a_plan_that_builds_other_rows_is_not_served(any_business):
    """A feature of the business's own that gives another value each time it is made."""
    release = any_business.release
    own = load_custom(UNSTEADY, "unsteady.py")
    [turning] = [
        c
        for c in list_columns(release.scorer.definitions, tables=release.tables, custom=own)
        if c.name == "turning"
    ]
    scorer = dataclasses.replace(release.scorer, columns=(*release.scorer.columns, "turning"))
    unsteady = dataclasses.replace(release, scorer=scorer, columns=(*release.columns, turning))
    desks._check_prepared(release)
    own[0].function.__wrapped__.__globals__["turns"].append(1)
    with pytest.raises(ReleaseRefused, match="golden rows"):
        desks._check_prepared(unsteady)


@one_business
@pytest.mark.long
def test_without_a_run_there_are_no_answers_by_id(any_business, tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    (tmp_path / "mlruns").mkdir()
    os.symlink(any_business.home / "mlruns" / "releases", tmp_path / "mlruns" / "releases")
    desk = ServingState.load()
    with pytest.raises(ReleaseRefused, match="no run"):
        desk.score_by_id([RequestedId(raw="a", normalized="a")], as_of=None)
    at = desk.served.release.seen.earliest_as_of
    said = desk.score_by_events(
        parse_request(request(any_business.history, any_business.settings, ["x"], as_of=at)), now=at
    )
    assert said["scores"][0]["error"] == "prospect"
    with pytest.raises(Malformed, match="in the future"):
        desk.score_by_events(
            parse_request({"as_of": rfc3339(at), "customers": [{"customer_id": "x"}]}),
            now=at - 9 * DAY_US,
        )
