"""Satisfaction and response times against second implementations, and when nobody answered."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.indicators.intervals import Z, net_promoter, wilson
from features.recipes.definitions import learn_definitions
from tests.support import oracle
from tests.support.checks import nonempty
from tests.support.indicator_worlds import (
    YEAR,
    day,
    month_of,
    month_text,
    random_business,
    rows_of,
    section,
    slow_stages,
    write_business,
)
from tests.support.oracle import DAY

few = settings(max_examples=2, deadline=None)


def slow_groups(made, stages):
    """(kind, dimension, level) -> the surveys and complaints of a group."""
    latency, zone = made.settings.churn.label_latency_days * DAY, made.settings.zone
    end = month_of(oracle.local_day(made.as_of - latency, zone))
    groups = defaultdict(list)
    for row in oracle.known(made.tables, made.as_of)["feedback"]:
        month = month_of(oracle.local_day(row["occurred_at"], zone))
        if row["occurred_at"] >= made.as_of - YEAR:
            groups[row["kind"], "all", "all"].append(row)
            groups[row["kind"], "stage", stages[row["customer_id"]][0]].append(row)
        if month < end:
            groups[row["kind"], "month", month_text(month)].append(row)
    return groups


def share(row, scales):
    """The score as a share of its scale, in millionths as the engine rounds."""
    low, high = scales[row["kind"]]
    return round((row["score"] - low) / (high - low), 6)


@few
@given(seed=st.integers(0, 2**32))
def test_surveys_and_complaints_are_those_of_a_second_implementation(seed):
    made = random_business(seed)
    definitions = learn_definitions(made.history().as_of(made.as_of), made.settings)
    stages = slow_stages(made, made.as_of, definitions)
    groups, scales = slow_groups(made, stages), made.settings.contract.scales
    rows = section(made, "satisfaction")["satisfaction"]
    found = {(r["measure"], r["dimension"], r["level"]): r for r in rows if not r["missing"]}
    for (kind, dimension, level), mine in groups.items():
        if kind in ("csat", "nps"):
            refuse_other_survey(found[kind, dimension, level], kind, mine, scales)
        elif kind == "complaint" and dimension != "month":
            people = [who for who, (stage, _) in stages.items() if level in ("all", stage)]
            row = found["complaints", dimension, level]
            complaining = {each["customer_id"] for each in mine}
            assert (row["complaints"], row["n"]) == (len(mine), len(people))
            assert row["value"] == len(complaining) / len(people)
    refuse_other_months(made, groups, found)
    surveys = {key for key in groups if key[0] in ("csat", "nps")}
    assert {key for key in found if key[0] != "complaints" and key[1] != "segment"} == surveys


def refuse_other_months(made, groups, found):
    """Of the customers who were active or complained in a month, those who complained."""
    now = oracle.known(made.tables, made.as_of)
    present = defaultdict(set)
    for who, days in oracle.activity(now[made.settings.activity.table], made.settings).items():
        for each in days:
            present[month_text(month_of(each))].add(who)
    for (kind, dimension, level), mine in groups.items():
        if (kind, dimension) == ("complaint", "month"):
            complaining = {row["customer_id"] for row in mine}
            row = found["complaints", "month", level]
            n = len(present[level] | complaining)
            assert (row["complaints"], row["n"]) == (len(mine), n)
            assert row["value"] == len(complaining) / n


def refuse_other_survey(row, kind, mine, scales):
    scores = [share(each, scales) for each in mine if each["score"] is not None]
    happy = sum(score >= (0.75 if kind == "csat" else 0.9) for score in scores)
    unhappy = sum(score <= 0.6 for score in scores) if kind == "nps" else 0
    sent, n, silent = len(mine), len(scores), len(mine) - len(scores)
    assert row["n"] == n
    assert row["value"] == ((happy - unhappy) / n if n else None)
    if row["sent"] is not None:
        worst = happy - unhappy - (silent if kind == "nps" else 0)
        assert (row["sent"], row["response_rate"]) == (sent, n / sent)
        assert row["if_silent_lowest"] == worst / sent
        assert row["if_silent_highest"] == (happy - unhappy + silent) / sent
        assert row["response_low"] <= row["response_rate"] <= row["response_high"]
        if n:
            assert row["if_silent_lowest"] <= row["value"] <= row["if_silent_highest"]


feedback = "customer_id,occurred_at,kind,score,answered_at,resolved_at,topic\n"
BOUGHT = "customer_id,occurred_at,amount\na,2024-01-01,5\nb,2024-01-01,5\nc,2024-01-01,5\n"


def tables_of(tmp_path, lines, text="2024-03-01"):
    chosen, history = write_business(
        tmp_path, {"transactions": BOUGHT, "feedback": feedback + "\n".join(lines) + "\n"}
    )
    tables = {}
    for name in ("satisfaction", "response_times"):
        tables |= rows_of(history, chosen, day(text), name)
    return tables


def test_nobody_answered(tmp_path):
    rows = tables_of(tmp_path, ["a,2024-02-01,csat,,,,", "b,2024-02-01,csat,,,,"])["satisfaction"]
    total = next(r for r in rows if (r["measure"], r["dimension"]) == ("csat", "all"))
    assert (total["n"], total["sent"], total["response_rate"]) == (0, 2, 0.0)
    assert (total["value"], total["low"], total["high"]) == (None, None, None)
    assert (total["if_silent_lowest"], total["if_silent_highest"]) == (0.0, 1.0)
    missing = {row["missing"] for row in rows}
    silent = "an answer to a survey of kind csat of the last 365 days"
    assert {silent, "feedback of kind nps"} <= missing


def test_where_all_are_answered_nobody_knows_how_many_were_sent(tmp_path):
    lines = ["a,2024-02-01,nps,9,2024-02-02,,", "b,2024-02-01,nps,6,2024-02-02,,"]
    rows = tables_of(tmp_path, lines)["satisfaction"]
    total = next(r for r in rows if (r["measure"], r["dimension"]) == ("nps", "all"))
    assert (total["value"], total["n"]) == (0.0, 2)
    assert {total[name] for name in ("sent", "response_rate", "if_silent_lowest")} == {None}
    # Before the answers were known, both were silent.
    rows = tables_of(tmp_path, lines, "2024-02-02")["satisfaction"]
    total = next(r for r in rows if (r["measure"], r["dimension"]) == ("nps", "all"))
    assert (total["n"], total["sent"], total["if_silent_lowest"]) == (0, 2, -1.0)


def test_open_complaints_count_in_the_median(tmp_path):
    lines = [
        "a,2024-02-01T00:00:00Z,complaint,,,2024-02-01T10:00:00Z,price",
        "b,2024-02-01T00:00:00Z,complaint,,,2024-02-05T00:00:00Z,price",
        "c,2024-02-02T00:00:00Z,complaint,,,,staff",
        "a,2024-02-28T12:00:00Z,complaint,,,,staff",
    ]
    rows = tables_of(tmp_path, lines)["response_times"]
    done = {r["level"]: r for r in rows if r["measure"] == "resolution" and not r["missing"]}
    assert (done["all"]["n"], done["all"]["done"], done["all"]["median_hours"]) == (4, 2, 96.0)
    # In time within 48 hours: one was, two were not, and of the newest it is not known.
    assert done["all"]["in_time"] == pytest.approx(1 / 3)
    assert (done["price"]["median_hours"], done["staff"]["median_hours"]) == (10.0, None)
    missing = {(r["measure"], r["dimension"]) for r in rows if r["missing"]}
    assert missing == {("first response", None), ("resolution", "channel")}


def test_without_feedback_each_measure_says_what_is_missing(tmp_path):
    chosen, history = write_business(tmp_path, {"transactions": BOUGHT})
    rows = rows_of(history, chosen, day("2024-03-01"), "satisfaction")["satisfaction"]
    assert [row["measure"] for row in rows] == ["csat", "nps", "complaints"]
    assert {row["n"] for row in rows} == {0}
    times = rows_of(history, chosen, day("2024-03-01"), "response_times")["response_times"]
    assert all(row["missing"] for row in nonempty(times))


def test_the_variance_of_the_net_promoter_score_is_that_of_its_answers():
    answers = [1] * 50 + [0] * 30 + [-1] * 20
    score, low, high = net_promoter(np.array([50]), np.array([20]), np.array([100]))
    assert score[0] == np.mean(answers)
    assert (high[0] - low[0]) / 2 == pytest.approx(Z * np.std(answers) / 10, rel=0.02)
    unanimous = net_promoter(np.array([5]), np.array([0]), np.array([5]))
    assert unanimous[0][0] == unanimous[2][0] == 1
    assert unanimous[1][0] < 0.9


@given(n=st.integers(1, 200), x=st.integers(0, 200))
def test_wilson_is_where_the_test_of_a_rate_just_does_not_refuse(n, x):
    x = min(x, n)
    [low], [high] = wilson(np.array([x]), np.array([n]))
    p = float(Fraction(x, n))
    assert 0 <= low <= p <= high <= 1
    for end in (low, high):
        if 0 < end < 1:
            assert abs(p - end) == pytest.approx(Z * np.sqrt(end * (1 - end) / n), rel=1e-6)
