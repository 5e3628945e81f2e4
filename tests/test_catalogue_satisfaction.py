"""Answers, items and complaints at their edges: every case a customer of one small business, worked
by hand.
"""

from __future__ import annotations

import dataclasses
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core import errors, settings
from features.core.contract import CONTRACT
from features.core.instants import instant
from features.engine.build import build
from features.engine.business_columns import columns_for
from features.engine.prepared import PreparedFeatures
from features.recipes import item_means
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import PopulationStats, population_stats
from features.tables import history
from features.tables.terms import TermRules
from tests.support import worlds
from tests.support.checks import nonempty
from tests.support.oracle import DAY, MINUTE
from tests.support.oracle_worlds import World, add, real, settings_for

AT = instant("2024-06-01", zone="UTC")
HOUR = 60 * MINUTE
# customer -> scores of one kind, a day apart, oldest first; None: not answered
ANSWERS = {
    "rising": ("csat", (1, 2, 3)),
    "two only": ("csat", (1, 5)),
    "only the last five": ("csat", (5, 1, 2, 3, 4, 5)),
    "flat": ("nps", (7, 7, 7, 7)),
    "a promoter each": ("nps", (9, 10, 8.5, 7, 6, 6.5)),
    "a detractor": ("nps", (0, 6)),
    "never asked": ("nps", ()),
    "top box": ("csat", (4, 3.5, 5, 2)),
    "silent of late": ("csat", (None, 3, None, None)),
    "always silent": ("nps", (None, None)),
}
# customer -> complaints as (age, hours to resolving or None, topic), then ages of purchases
COMPLAINTS = {
    "just in time": ([(9 * DAY, 48, "a")], ()),
    "late": ([(9 * DAY, 48 + 1 / 60, "a")], ()),
    "open for as long": ([(2 * DAY, None, "a")], ()),
    "open for longer": ([(2 * DAY + 1, None, "a")], ()),
    "one of each": (
        [(9 * DAY, 1, "a"), (8 * DAY, 99, "b"), (7 * DAY, None, "c"), (DAY, None, "d")],
        (),
    ),
    "came back": ([(9 * DAY, 24, "a")], (8 * DAY - 1,)),
    "came back as it closed": ([(9 * DAY, 24, "a")], (8 * DAY,)),
    "came back before": ([(9 * DAY, 48, "a")], (8 * DAY,)),
    "the last is open": ([(9 * DAY, 24, "a"), (5 * DAY, None, "b")], (DAY,)),
    "the same again": ([(9 * DAY, 24, "a"), (7 * DAY, 24, "a"), (6.5 * DAY, 24, "a")], ()),
    "again before it was closed": ([(9 * DAY, 99, "a"), (8 * DAY, None, "a")], ()),
    "about nothing known": ([(9 * DAY, 24, None), (7 * DAY, 24, None)], ()),
    "content": ([], (DAY,)),
}


def business(**stated) -> World:
    chosen = settings_for(
        "non-contractual", {"horizon_days": 30}, features={"windows_days": [7]}, **stated
    )
    return World(random.Random(0), chosen, AT, {name: [] for name in chosen.tables})


def bought(made: World, customer: str, age: float = 50 * DAY) -> None:
    at = round(AT - age)
    add(made, "transactions", customer, occurred_at=at, recorded_at=at, amount=1, kind="purchase")


def said(made: World, customer: str, age: float, **cells) -> None:
    at = round(AT - age)
    add(made, "feedback", customer, **{"occurred_at": at, "recorded_at": at} | cells)


@pytest.fixture(scope="module")
def rows():
    made = business()
    for customer, (kind, scores) in ANSWERS.items():
        bought(made, customer)
        for number, score in enumerate(scores):
            age = (20 - number) * DAY
            said(
                made,
                customer,
                age,
                kind=kind,
                score=score,
                answered_at=None if score is None else AT - age + HOUR,
            )
    for customer, (complaints, purchases) in COMPLAINTS.items():
        for age in (50 * DAY, *purchases):
            bought(made, customer, age)
        for age, taken, topic in complaints:
            resolved = None if taken is None else round(AT - age + taken * HOUR)
            said(made, customer, age, kind="complaint", topic=topic, resolved_at=resolved)
    return real(made).rows


@pytest.mark.parametrize(
    ("customer", "slope"),
    [
        ("rising", 0.25),
        ("two only", None),
        ("only the last five", 0.25),
        ("flat", 0),
        ("silent of late", None),
    ],
)
def test_the_slope_is_that_of_the_last_five_answers(rows, customer, slope):
    assert rows[customer]["satisfaction_slope"] == (
        slope if slope is None else pytest.approx(slope, abs=1e-12)
    )


@pytest.mark.parametrize(
    ("customer", "shares", "own"),
    [
        ("a promoter each", (2 / 6, 3 / 6, 1 / 6), 1 / 6),
        ("a detractor", (0, 0, 1), -1),
        ("flat", (0, 1, 0), 0),
        ("never asked", (None, None, None), None),
        ("always silent", (None, None, None), None),
    ],
)
def test_promoters_begin_at_nine_and_detractors_end_at_six(rows, customer, shares, own):
    row = rows[customer]
    assert tuple(
        row[f"nps_{name}_share"] for name in ("promoter", "passive", "detractor")
    ) == pytest.approx(shares)
    assert row["nps"] == (own if own is None else pytest.approx(own))


def test_the_top_box_begins_at_three_quarters_of_the_scale(rows):
    assert rows["top box"]["csat_top_share"] == 2 / 4
    assert rows["flat"]["csat_top_share"] is None


def test_last_scores_are_told_apart_by_kind(rows):
    row = rows["top box"]
    assert (
        row["satisfaction_last_csat"],
        row["satisfaction_last_nps"],
        row["satisfaction_last_review"],
    ) == (
        0.25,
        None,
        None,
    )
    assert (row["answers_all"], row["hours_to_answer"], row["review_mean"]) == (4, 1, None)


@pytest.mark.parametrize(
    ("customer", "streak", "rate"),
    [
        ("silent of late", 2, 2 / 6),
        ("always silent", 2, 1 / 4),
        ("rising", 0, 4 / 5),
        ("never asked", 0, 1 / 2),
    ],
)
def test_silence_lasts_since_the_last_survey_that_was_answered(rows, customer, streak, rate):
    assert (rows[customer]["unanswered_streak"], rows[customer]["answer_rate_all"]) == (
        streak,
        rate,
    )


@pytest.mark.parametrize(
    ("customer", "share"),
    [
        ("just in time", 1),
        ("late", 0),
        ("open for as long", None),
        ("open for longer", 0),
        ("one of each", 1 / 3),
    ],
)
def test_who_is_still_within_the_service_level_does_not_count(rows, customer, share):
    assert rows[customer]["complaints_within_sla_share"] == share


def test_the_service_level_is_what_the_configuration_states():
    made = business(satisfaction={"resolve_within_hours": 50})
    bought(made, "a")
    said(made, "a", 9 * DAY, kind="complaint", resolved_at=AT - 9 * DAY + 49 * HOUR)
    assert real(made).rows["a"]["complaints_within_sla_share"] == 1


@pytest.mark.parametrize(
    ("customer", "worth"),
    [
        ("came back", 1),
        ("came back as it closed", 0),
        ("came back before", 0),
        ("the last is open", 0),
        ("content", None),
    ],
)
def test_recovered_is_who_bought_after_the_last_complaint_was_closed(rows, customer, worth):
    assert rows[customer]["purchased_after_resolution"] == worth


@pytest.mark.parametrize(
    ("customer", "repeated", "reopened"),
    [
        ("the same again", 2, 2),
        ("again before it was closed", 1, 0),
        ("about nothing known", 0, 0),
        ("content", 0, 0),
    ],
)
def test_a_topic_complained_of_before_is_repeated_and_once_closed_reopened(
    rows, customer, repeated, reopened
):
    assert (rows[customer]["complaints_repeated"], rows[customer]["complaints_reopened"]) == (
        repeated,
        reopened,
    )


def test_open_and_resolved_complaints(rows):
    row = rows["one of each"]
    assert (
        row["complaints_open"],
        row["complaint_open_age"],
        row["complaints_resolved_share"],
    ) == (2, 7, 1 / 2)
    assert rows["content"]["complaints_resolved_share"] is None


# --- items ----------------------------------------------------------------------------------------
# ---------------

AWKWARD = ("it's 7.25", "0.1", "ß" * 300, " 1 ", "main.t", "客户")


@pytest.fixture(scope="module")
def scored():
    """Every item has five answers of others: 1, 2, 3, 4, 5 of 1…5, mean ½; `rare` has four with the
    customer's own.
    """
    made = business()
    for number in range(5):
        bought(made, f"other {number}")
        for item in (*AWKWARD, *(("rare",) if number < 3 else ())):
            said(
                made,
                f"other {number}",
                5 * DAY,
                kind="csat",
                score=number + 1,
                answered_at=AT - DAY,
                item=item,
            )
    for customer, item in (
        ("ann", AWKWARD[0]),
        ("bob", "rare"),
        ("cid", None),
        ("dee", AWKWARD[2]),
    ):
        bought(made, customer)
        said(made, customer, 4 * DAY, kind="csat", score=5, answered_at=AT - DAY, item=item)
    said(
        made, "eve", 4 * DAY, kind="csat", score=5, answered_at=AT + DAY, item="rare"
    )  # would be the fifth answer
    bought(made, "eve")
    return made


def test_an_item_is_known_by_five_answers_and_biases_are_against_its_mean(scored):
    found = real(scored)
    assert set(found.base.items) == set(AWKWARD)
    assert list(found.base.items) == sorted(found.base.items)
    means = dict(zip(found.base.items, found.base.item_means, strict=True))
    assert (means["0.1"], means[AWKWARD[0]]) == (500_000, round((2.5 + 1) / 6 * 1e6))
    assert found.rows["ann"]["item_bias"] == pytest.approx(1 - (2.5 + 1) / 6, abs=1e-6)
    assert [found.rows[who]["item_bias"] for who in ("bob", "cid", "eve")] == [None, None, None]


def test_of_many_items_the_most_answered_are_kept(scored, monkeypatch):
    monkeypatch.setattr(item_means, "MOST_ITEMS", 3)
    kept = real(scored).base.items
    assert set(kept) == {AWKWARD[0], AWKWARD[2], min(set(AWKWARD) - {AWKWARD[0], AWKWARD[2]})}


@pytest.mark.parametrize("known_items", [True, False])
def test_the_kept_plan_and_the_stored_base_know_the_same_items(scored, tmp_path, known_items):
    found = scored.history()
    known = found.as_of(AT)
    definitions = learn_definitions(known, scored.settings)
    base = population_stats(known, definitions)
    columns = [
        c
        for c in columns_for(found, definitions, scored.settings)
        if c.feature.family == "satisfaction"
    ]
    if not known_items:
        base = dataclasses.replace(base, items=(), item_means=())
    pq.write_table(
        pa.Table.from_pylist([dataclasses.asdict(base)]), tmp_path / "population.parquet"
    )
    assert PopulationStats.read(tmp_path / "population.parquet") == base
    rows = build(known, population=base, definitions=definitions, columns=columns)
    assert rows["item_bias"].null_count == (3 if known_items else rows.num_rows)
    plan = PreparedFeatures(
        definitions=definitions,
        population=base,
        columns=columns,
        tables=found.names,
        activity_kinds=found.activity_kinds,
        terms=TermRules.from_settings(scored.settings),
    )
    for customer in nonempty(rows["customer_id"].to_pylist()):
        events = worlds.keep_customer(worlds.read_tables(found), customer)
        sent = {name: table.select(list(CONTRACT[name].names)) for name, table in events.items()}
        assert plan.build(sent, as_of=AT).equals(
            rows.filter(pa.compute.equal(rows["customer_id"], customer))
        )


# --- what the contract takes
# -------------------------------------------------------------------------------------


def read(tmp_path, lines: str, **sections):
    (tmp_path / "f.csv").write_text("customer_id,occurred_at,kind,score,answered_at\n" + lines)
    (tmp_path / "t.csv").write_text("customer_id,occurred_at,amount\na,2024-01-01,1\n")
    tables = {"transactions": "SELECT * FROM t", "feedback": "SELECT * FROM f"}
    stated = {
        "business": {"zone": "UTC"},
        "files": {"t": "t.csv", "f": "f.csv"},
        "tables": tables,
    } | sections
    return history.load_history(
        settings.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
    )[1]["feedback"]


def test_an_answer_before_its_survey_is_counted_and_left_out(tmp_path):
    lines = (
        "a,2024-01-02,review,4,2024-01-01\n"
        "a,2024-01-02,review,4,2024-01-02\n"
        "a,2024-01-02,review,,\n"
    )
    counts = read(tmp_path, lines)
    assert (counts.read, counts.kept, counts.rejected) == (3, 2, {"answered_before_sent": 1})


def test_a_complaint_resolved_before_it_was_raised_is_counted_and_left_out(tmp_path):
    (tmp_path / "f.csv").write_text(
        "customer_id,occurred_at,kind,resolved_at\n"
        "a,2024-01-02,complaint,2024-01-01\na,2024-01-02,complaint,2024-01-02\n"
    )
    (tmp_path / "t.csv").write_text("customer_id,occurred_at,amount\na,2024-01-01,1\n")
    tables = {"transactions": "SELECT * FROM t", "feedback": "SELECT * FROM f"}
    stated = {"business": {"zone": "UTC"}, "files": {"t": "t.csv", "f": "f.csv"}, "tables": tables}
    counts = history.load_history(
        settings.settings_from_mapping(stated, folder=tmp_path, where="test.toml")
    )[1]["feedback"]
    assert (counts.kept, counts.rejected) == (1, {"resolved_before_raised": 1})


def test_a_score_of_a_kind_without_a_scale_is_counted_and_left_out(tmp_path):
    """A survey's score means nothing without its scale; a complaint's is not asked for, and does
    not count.
    """
    lines = (
        "a,2024-01-02,nps,4,2024-01-02\n"
        "a,2024-01-03,nps,,\n"
        "a,2024-01-02,csat,4,2024-01-02\n"
        "a,2024-01-02,complaint,1,2024-01-02\n"
    )
    counts = read(tmp_path, lines, contract={"scales": {"csat": [1, 5]}})
    assert (counts.read, counts.kept, counts.rejected) == (4, 3, {"score_without_scale": 1})


@pytest.mark.parametrize(
    "sections",
    [
        {"contract": {"scales": {"csat": [5, 1]}}},
        {"contract": {"scales": {"csat": [3, 3]}}},
        {"contract": {"scales": {"csat": [0, float("inf")]}}},
        {"contract": {"scales": {"csat": [float("nan"), 5]}}},
        {"satisfaction": {"resolve_within_hours": 0}},
        {"satisfaction": {"resolve_within_hours": float("nan")}},
    ],
)
def test_scales_rise_and_service_levels_are_a_time(tmp_path, sections):
    with pytest.raises(errors.BadSetting):
        read(tmp_path, "a,2024-01-02,csat,4,2024-01-02\n", **sections)
