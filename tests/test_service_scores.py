"""One definition at every door: the API's scores are the batch's, by id and by raw events, however many come together."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.core.errors import Malformed, ReleaseRefused
from features.core.instants import DAY_US
from features.recipes.stages import STAGES
from serving.api.answers import COLUMNS
from serving.api.schemas import rfc3339
from serving.batch import run_folders
from tests.raw_events import known_events, request
from tests.service_of import opened
from tests.trained_business import business as business
from tests.trained_business import scores
from training import examples, plan


@pytest.fixture(scope="module")
def client(business):
    with opened(business) as found:
        yield found


@pytest.fixture(scope="module")
def expected(business):
    """customer_id -> the batch row, without what the answer says once."""
    return {
        row["customer_id"]: {name: row[name] for name in COLUMNS}
        for row in scores(business).to_pylist()
    }


def asked(client, body):
    answer = client.post("/v1/score", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def bare(entries):
    return [{name: entry[name] for name in COLUMNS} for entry in entries]


@pytest.mark.parametrize("together", [1, 7, 200])
def test_by_id_the_answer_is_the_run(business, client, expected, together):
    ids = list(expected)[:200][::-1]
    for start in range(0, 200, together):
        mine = ids[start : start + together]
        said = asked(client, {"customer_ids": mine})
        assert (said["release_id"], said["as_of"]) == (
            business.release.id,
            rfc3339(business.run.as_of),
        )
        assert bare(said["scores"]) == [expected[one] for one in mine]


@pytest.mark.parametrize("together", [1, 7, 200])
def test_by_raw_events_the_answer_is_the_batch_to_the_bit(business, client, expected, together):
    at, active = (
        business.run.as_of,
        [one for one, row in expected.items() if row["stage"] != "prospect"],
    )
    events = known_events(business.history, business.settings, as_of=at)
    for start in range(0, 200 if together > 1 else 60, together):
        mine = active[:200][start : start + together][::-1]
        body = {
            "as_of": rfc3339(at),
            "customers": [{"customer_id": one, **events[one]} for one in mine],
        }
        assert bare(asked(client, body)["scores"]) == [expected[one] for one in mine]


def test_the_order_of_events_does_not_matter(business, client, expected):
    ids = [one for one, row in expected.items() if row["stage"] != "prospect"][:50]
    one, other = (
        asked(
            client,
            request(business.history, business.settings, ids, as_of=business.run.as_of, order=way),
        )
        for way in (1, -1)
    )
    assert one == other


def test_a_training_row_is_the_online_row(business, client):
    """At the date of the release's base: the row a model learns from, and the row a request is scored with."""
    at = max(plan.make_plan(business.history, business.settings).refit)
    made = examples.make_examples(
        business.history, business.settings, plan.Plan((at,), (at,), (at,))
    )
    ids = made.rows["customer_id"].to_pylist()[:200]
    rows = made.rows.filter(pc.is_in(made.rows["customer_id"], pc.cast(ids, "string")))
    frozen = dataclasses.replace(made, definitions=business.release.scorer.definitions)
    assert frozen.definitions == made.definitions
    said = asked(client, request(business.history, business.settings, ids, as_of=at))["scores"]
    p, p_next = business.release.scorer.score(rows)
    assert [entry["p_churn"] for entry in said] == p.tolist()
    assert [[entry[f"p_next_{stage}"] for stage in STAGES] for entry in said] == p_next.tolist()


def test_a_prospect_and_a_stranger_have_entries_of_their_own(business, client, expected):
    known = next(iter(expected))
    said = asked(client, {"customer_ids": ["nobody-knows", known, "nobody-knows"]})["scores"]
    assert [entry["customer_id"] for entry in said] == ["nobody-knows", known, "nobody-knows"]
    assert said[0] == said[2]
    assert (said[0]["error"], said[0]["p_churn"], said[1]["error"]) == (
        "unknown_customer",
        None,
        None,
    )
    body = {"as_of": rfc3339(business.run.as_of), "customers": [{"customer_id": " new one "}]}
    [prospect] = asked(client, body)["scores"]
    assert (prospect["customer_id"], prospect["stage"], prospect["error"], prospect["p_churn"]) == (
        " new one ",
        "prospect",
        "prospect",
        None,
    )


def test_one_customer_has_the_run_s_features(business, client, expected):
    one = next(name for name, row in expected.items() if row["stage"] != "prospect")
    said = client.get(f"/v1/customers/{one}").json()
    rows = pq.read_table(
        business.run.folder / "features.parquet", filters=[("customer_id", "==", one)]
    ).to_pylist()
    assert bare(said["scores"]) == [expected[one]]
    assert said["features"]["recency"] == rows[0]["recency"]
    assert {column.name for column in business.release.columns} <= set(said["features"])
    assert client.get("/v1/customers/nobody-knows").status_code == 404


def test_the_base_of_another_day_is_a_warning_and_one_of_tomorrow_is_refused(
    business, client, expected
):
    one = next(name for name, row in expected.items() if row["stage"] != "prospect")
    later = request(
        business.history, business.settings, [one], as_of=business.run.as_of + 5 * DAY_US
    )
    assert "base_is_5_days_old" in asked(client, later)["scores"][0]["warnings"]
    early = client.post("/v1/score", json={**later, "as_of": "1999-01-01T00:00:00Z"})
    assert (early.status_code, early.json()["where"]) == (422, "as_of")


@pytest.mark.parametrize(("page", "allow"), [("/v1/score", "POST"), ("/v1/model", "GET, HEAD")])
def test_another_method_is_told_which_one_is_right(client, page, allow):
    answer = client.request("DELETE", page)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)


def test_the_model_page_tells_what_is_served(business, client):
    said = client.get("/v1/model").json()
    assert said["release_id"] == business.release.id
    assert said["evaluation"] == json.loads(json.dumps(business.release.evaluation))
    assert (said["run"]["rows"], said["run"]["as_of"]) == (
        business.run.rows,
        rfc3339(business.run.as_of),
    )
    assert said["problem"] == ""


def test_a_newer_run_is_taken_over_and_a_damaged_one_is_not(
    business, client, expected, monkeypatch
):
    from serving.api.service import _desk

    monkeypatch.setenv("LIFECYCLE_HOME", str(business.home))
    desk, pointer = _desk(), business.home / "scores" / "LATEST"
    before, kept = desk.shown, pointer.read_text()
    later = run_folders.score(
        business.history, business.settings, business.release, as_of=business.run.as_of + DAY_US
    )
    try:
        desk.refresh()
        assert desk.shown.run.as_of == later.as_of
        assert desk.shown.release is before.release
        newest = (later.folder / "scores.parquet").read_bytes()
        (later.folder / "scores.parquet").write_bytes(newest[:-1] + b"?")
        pointer.write_text(kept)
        desk.refresh()
        assert desk.shown.run.as_of == business.run.as_of
        pointer.write_text(
            json.dumps(
                {
                    "as_of": later.as_of,
                    "folder": later.folder.relative_to(pointer.parent).as_posix(),
                }
            )
        )
        desk.refresh()
        assert desk.shown.run.as_of == business.run.as_of
        assert "hashes" in desk.problem
    finally:
        pointer.write_text(kept)
        desk.refresh()
        shutil.rmtree(later.folder)  # the home is shared, and other tests score that date
    assert desk.problem == ""
    assert (
        bare(asked(client, {"customer_ids": list(expected)[:5]})["scores"])
        == list(expected.values())[:5]
    )


def test_a_plan_that_builds_other_rows_is_not_served(business, monkeypatch):
    from serving.api import state as desks

    monkeypatch.setenv("LIFECYCLE_HOME", str(business.home))
    other = dataclasses.replace(
        business.release.scorer.definitions,
        base_gap_us=business.release.scorer.definitions.base_gap_us + 10**9,
    )
    changed = dataclasses.replace(
        business.release, scorer=dataclasses.replace(business.release.scorer, definitions=other)
    )
    real = desks._plan
    monkeypatch.setattr(desks, "_plan", lambda release, zone, base: real(changed, zone, base))
    with pytest.raises(ReleaseRefused, match="golden rows"):
        desks._check_plan(business.release)


def test_without_a_run_there_are_no_answers_by_id(business, tmp_path, monkeypatch):
    from serving.api.schemas import Asked, parsed
    from serving.api.state import ServingState

    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    (tmp_path / "mlruns").mkdir()
    os.symlink(business.home / "mlruns" / "releases", tmp_path / "mlruns" / "releases")
    desk = ServingState.opened()
    with pytest.raises(ReleaseRefused, match="no run"):
        desk.by_id([Asked(sent="a", read="a")], as_of=None)
    at = desk.shown.plans[0].base.as_of
    said = desk.by_events(
        parsed(request(business.history, business.settings, ["x"], as_of=at)), now=at
    )
    assert said["scores"][0]["error"] == "prospect"
    with pytest.raises(Malformed, match="ahead"):
        desk.by_events(
            parsed({"as_of": rfc3339(at), "customers": [{"customer_id": "x"}]}), now=at - 9 * DAY_US
        )
