"""Reasons: the families that put a score where it is, told by a value that points the same way."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.engine.columns import FeatureColumn, list_columns
from features.recipes.attributes import Attribute
from features.recipes.recipe import FEATURES
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Linear, Rate
from serving.scoring.reason_values import describe_value, same_sentence_span
from serving.scoring.reasons import reasons
from serving.scoring.scorer import Calibration, ReasonReference, Scorer
from tests.support.definitions import definitions_of
from training.models import fit_reasons

NAMES = ("recency", "tenure", "active_days_all")


@pytest.fixture(scope="module")
def chosen():
    every = {
        column.name: column for column in list_columns(definitions_of(), tables=("transactions",))
    }
    return [every[name] for name in NAMES]


def scorer(weights, bearings=None, status="ok"):
    wide = len(NAMES) + 14
    linear = Linear(
        np.zeros(wide),
        np.ones(wide),
        np.array([[*weights, *np.zeros(14)]]),
        np.zeros((1, wide)),
        np.zeros(1),
    )
    rest = (Blend(((1.0, Rate((0.0,))),)), ("loyal",), 100, 100)
    return Scorer(
        definitions_of(), NAMES, Blend(((1.0, linear),)), Calibration(), *rest, status, bearings
    )


def rows(*values):
    table = {
        name: pa.array([row[k] for row in values], pa.float64()) for k, name in enumerate(NAMES)
    }
    stages = {name: ["loyal"] * len(values) for name in ("stage", "stage_if_inactive")}
    return pa.table(table | stages)


def test_above_the_typical_score_the_raising_families_are_told_and_below_it_the_lowering(chosen):
    made = scorer([1.0, 0.0, -2.0])
    high, low = reasons(made, rows((80, 300, 1), (1, 300, 40)), chosen)
    assert high == ["raises the risk: last active 80 days ago", None, None]
    assert low == ["lowers the risk: 40 active days in all recorded time", None, None]


def test_a_family_is_told_by_a_value_that_points_its_way(chosen):
    """Collinear weights: tenure moves most, but a long tenure by itself goes with staying."""
    weights = [0.5, 2.0, 0.0]
    blind = reasons(scorer(weights), rows((80, 300, 1)), chosen)[0][0]
    bearings = ReasonReference(
        typical=(2.0, 2.0, 2.0), direction=(1, -1, -1), mean_contribution=(0, 0, 0)
    )
    assert blind == "raises the risk: customer for 300 days"
    assert (
        reasons(scorer(weights, bearings), rows((80, 300, 1)), chosen)[0][0]
        == "raises the risk: last active 80 days ago"
    )


def test_reasons_are_told_against_the_typical_customer(chosen):
    """The same customer is riskier than one that is hardly ever late, and safer than one that
    always is.
    """
    row = rows((80, 300, 1))
    punctual, late = (
        ReasonReference((2.0, 2.0, 2.0), (1, -1, -1), (moved, 0, 0)) for moved in (2.0, 6.0)
    )
    assert (
        reasons(scorer([1.0, 0.0, 0.0], punctual), row, chosen)[0][0]
        == "raises the risk: last active 80 days ago"
    )
    assert reasons(scorer([1.0, 0.0, 0.0], late), row, chosen)[0][0].startswith("lowers the risk: ")


def test_one_row_is_told_as_among_many(chosen):
    made, rng = (
        scorer([0.7, -0.2, -0.4], ReasonReference((2.0, 2.0, 2.0), (1, -1, -1), (1.0, -1.0, 0.5))),
        np.random.default_rng(1),
    )
    table = rows(*rng.uniform(0, 300, (40, 3)))
    whole = reasons(made, table, chosen)
    assert [reasons(made, table.slice(at, 1), chosen)[0] for at in range(40)] == whole


def test_base_rates_have_no_reasons(chosen):
    assert reasons(scorer([1, 0, 0], status="no_skill"), rows((80, 300, 1)), chosen) == [
        [None, None, None]
    ]


def test_a_missing_value_is_no_reason_and_its_family_counts_for_what_is_known(chosen):
    """What a missing recency moves goes to no other column of its family."""
    made = scorer([1.0, 0.0, -0.1])
    linear = made.churn.parts[0][1]
    missing = np.zeros_like(linear.missing)
    missing[0, 0] = 9.0
    made = replace(made, churn=Blend(((1.0, replace(linear, missing=missing)),)))
    [texts] = reasons(made, rows((float("nan"), 300, 40)), chosen)
    assert texts == [None, None, None]
    [texts] = reasons(made, rows((50, 300, 40)), chosen)
    assert texts[0] == "raises the risk: last active 50 days ago"


def labelled_rows(values, stage="loyal", eligible=None):
    table = rows(*values)
    stages = pa.array([stage] * len(values))
    table = table.set_column(table.column_names.index("stage"), "stage", stages)
    table = table.append_column("eligible", pa.array(eligible or [True] * len(values)))
    return table.append_column("churned", pa.array([at % 2 == 0 for at in range(len(values))]))


@pytest.mark.parametrize(("same", "is_named"), [(95, False), (94, True)])
def test_what_is_true_of_nearly_everyone_in_the_stage_is_no_reason(chosen, same, is_named):
    """11.6 and 12.4 days are one sentence, "12 days ago"; customers who are not eligible do not
    count, and customers of another stage have a sentence of their own.
    """
    values = [(11.6 if at % 2 else 12.4, 300, 1) for at in range(same)]
    values += [(40.0, 300, 1)] * (100 - same)
    values += [(float(at), 300, 1) for at in range(100)]  # not eligible
    training = labelled_rows(values, eligible=[True] * 100 + [False] * 100)
    others = labelled_rows([(float(at), 300, 1) for at in range(100)], stage="growing")
    model = scorer([-1.0, 0.0, 0.0])
    reference = fit_reasons.reason_reference(model, pa.concat_tables([training, others]), chosen)
    # Without medians: that a value is the usual one is another rule.
    model = replace(model, reason_reference=replace(reference, usual=()))
    [text, *_], [other, *_] = (
        reasons(model, labelled_rows([(12.2, 300, 1)], stage), chosen)[0]
        for stage in ("loyal", "growing")
    )
    assert (text is not None) == is_named
    assert other.startswith("raises the risk: last active 12 days ago")


def test_none_of_something_is_no_reason():
    every = {
        column.name: column for column in list_columns(definitions_of(), tables=("interactions",))
    }
    [column] = [one for one in every.values() if one.feature.words.endswith("are visits")]
    table = pa.table(
        {
            column.name: pa.array([0.004, 0.006, 0.0]),
            **{name: ["loyal"] * 3 for name in ("stage", "stage_if_inactive")},
        }
    )
    wide = 1 + 14
    weights = np.array([[-1.0, *np.zeros(14)]])
    linear = Linear(np.full(wide, 0.5), np.ones(wide), weights, np.zeros((1, wide)), np.zeros(1))
    rest = (Blend(((1.0, Rate((0.0,))),)), ("loyal",), 100, 100)
    made = Scorer(definitions_of(), (column.name,), Blend(((1.0, linear),)), Calibration(), *rest)
    texts = [row[0] for row in reasons(made, table, [column])]
    assert texts == [None, "raises the risk: 1% of contacts are visits", None]


def test_a_sensitive_attribute_is_never_a_reason(chosen):
    hidden = Attribute("gender", "flag", True, (("", "tenure"),), sensitive=True)
    model = scorer([0.5, 2.0, 0.0])
    assert "customer for 300 days" in reasons(model, rows((80, 300, 1)), chosen)[0][0]
    model = replace(model, definitions=replace(model.definitions, attributes=(hidden,)))
    assert reasons(model, rows((80, 300, 1)), chosen)[0] == [
        "raises the risk: last active 80 days ago",
        None,
        None,
    ]


def test_families_that_do_harm_come_last(chosen):
    model = scorer([9.0, 0.0, 1.0])
    first = reasons(model, rows((80, 300, 40)), chosen)[0]
    assert [text.split(": ")[1][:4] for text in first[:2]] == ["last", "40 a"]
    family = chosen[0].feature.family
    reference = ReasonReference((0.0,) * 3, (0.0,) * 3, (0.0,) * 3, last_families=(family,))
    texts = reasons(replace(model, reason_reference=reference), rows((80, 300, 40)), chosen)[0]
    assert [text.split(": ")[1][:4] for text in texts[:2]] == ["40 a", "last"]


@given(value=st.floats(-400, 400), other=st.floats(-1, 1), at=st.integers(0, 1000))
def test_values_of_one_sentence_are_those_that_are_written_alike(value, other, at):
    columns = list_columns(definitions_of(), tables=("transactions", "interactions", "feedback"))
    column = columns[at % len(columns)]
    low, high = same_sentence_span(column, value)
    inside = [low + (high - low) * share for share in (0.01, 0.5, 0.99)]
    texts = {re.sub("[+-]", "", describe_value(column, one)) for one in inside}
    assert len(texts) == 1
    if not low <= value + other <= high:
        assert describe_value(column, value) != describe_value(column, value + other)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration("platt", 0.6, 0.6, 1.0),
        Calibration("beta", 0.3, 2.0, -1.0),
        Calibration("isotonic", 0.2, 3.0, 0.0, (-5.0, 0.0, 5.0), (-1.0, -0.5, 9.0)),
    ],
)
def test_no_kind_of_calibration_turns_a_reason_round(chosen, calibration):
    table = rows(*np.random.default_rng(2).uniform(0, 300, (60, 3)))
    labelled = table.append_column("eligible", pa.array([True] * 60)).append_column(
        "churned", pa.array([True, False] * 30)
    )
    plain = scorer([0.7, -0.2, -0.4])
    bent = replace(plain, calibration=calibration)
    told = [
        reasons(
            replace(s, reason_reference=fit_reasons.reason_reference(s, labelled, chosen)),
            table,
            chosen,
        )
        for s in (plain, bent)
    ]
    assert told[0] == told[1]


def test_a_reason_names_what_is_usual_in_the_stage_of_the_customer(chosen):
    """40 loyal customers have a median of their own; 5 new ones are too few, and share one."""
    recency = [*range(40), *[500.0] * 4, float("nan")]
    table = rows(*([value, 300.0, 1.0] for value in recency))
    stages = pa.array(["loyal"] * 40 + ["new"] * 5)
    table = table.set_column(table.column_names.index("stage"), "stage", stages)
    labelled = table.append_column("eligible", pa.array([True] * 45))
    labelled = labelled.append_column("churned", pa.array([True, False, True] * 15))
    model = scorer([1.0, 0.0, 0.0])
    reference = fit_reasons.reason_reference(model, labelled, chosen)
    usual = dict(zip(STAGES, (medians[0] for medians in reference.usual), strict=True))
    assert usual["loyal"] == 19.5
    assert usual["new"] == usual["dormant"] == 21.5
    texts = reasons(replace(model, reason_reference=reference), table, chosen)
    assert texts[39][0] == "raises the risk: last active 39 days ago (usually 20)"
    assert texts[40][0] == "raises the risk: last active 500 days ago (usually 22)"


def test_what_is_usual_in_the_stage_is_no_reason(chosen):
    """`raises the risk: last active 50 days ago (usually 50)` would explain nothing."""
    medians = tuple((50.2, None, None) for _ in STAGES)
    typical = ReasonReference((0.0,) * 3, (1.0,) * 3, (0.0,) * 3, medians)
    made = scorer([1.0, 1.0, 0.0], typical)
    [[first, second, third]] = reasons(made, rows((50.0, 9.0, 2.0)), chosen)
    assert "known for" in first or "tenure" in first or "9" in first
    assert (second, third) == (None, None)
    [[other, *_]] = reasons(made, rows((52.0, 9.0, 2.0)), chosen)
    assert "52 days ago (usually 50)" in other


def test_nothing_is_usual_where_nothing_is_known_or_no_value_is_named(chosen):
    assert describe_value(chosen[0], 3.0, None) == "last active 3 days ago"


def test_one_of_something_is_said_in_the_singular():
    said = {
        ("engaged_days_14d", 1.0): "engaged on 1 day in 14 days",
        ("engaged_days_14d", 11.0): "engaged on 11 days in 14 days",
        ("interaction_quantity_14d", 1.0): "1 minute (or page) of use in 14 days",
        ("failed_payments_14d", 1.0): "1 failed payment in 14 days",
        ("trend_ratio_14d", 1.0): "activity at 1.0 times the earlier rate (14 days)",
        ("recency", 1.0): "last active 1 day ago",
    }
    for (name, value), sentence in said.items():
        feature, windowed = name.removesuffix("_14d"), name.endswith("_14d")
        column = FeatureColumn(name, FEATURES[feature], 14 if windowed else None, windowed)
        assert describe_value(column, value) == sentence
    assert describe_value(column, 1.0, 12.0) == "last active 1 day ago (usually 12)"
