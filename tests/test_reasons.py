"""Reasons: the families that put a score where it is, told by a value that points the same way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from features.engine.columns import FeatureColumn, list_columns
from features.recipes.recipe import FEATURES
from features.recipes.stages import STAGES
from serving.scoring.parts import Blend, Linear, Rate
from serving.scoring.reasons import describe_value, reasons
from serving.scoring.scorer import Calibration, ReasonReference, Scorer
from tests.support.definitions import definitions_of
from training.models import churn

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


def test_base_rates_have_no_reasons_and_unknown_values_say_so(chosen):
    assert reasons(scorer([1, 0, 0], status="no_skill"), rows((80, 300, 1)), chosen) == [
        [None, None, None]
    ]
    assert describe_value(chosen[0], float("nan")) == "not known yet: days since the last activity"


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
        reasons(replace(s, reason_reference=churn.reason_reference(s, labelled)), table, chosen)
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
    reference = churn.reason_reference(model, labelled)
    usual = dict(zip(STAGES, (medians[0] for medians in reference.usual), strict=True))
    assert usual["loyal"] == 19.5
    assert usual["new"] == usual["dormant"] == 21.5
    texts = reasons(replace(model, reason_reference=reference), table, chosen)
    assert texts[39][0] == "raises the risk: last active 39 days ago (usually 20)"
    assert texts[40][0] == "raises the risk: last active 500 days ago (usually 22)"


def test_nothing_is_usual_where_nothing_is_known_or_no_value_is_named(chosen):
    assert describe_value(chosen[0], 3.0, None) == "last active 3 days ago"
    assert "usually" not in describe_value(chosen[0], float("nan"), 3.0)


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
