"""Slices: they are the whole, small ones say so, nobody is named, and only what is beyond its
interval is worse.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st

from features.core.instants import DAY_US
from features.recipes.attributes import Attribute
from tests.support.checks import nonempty
from training import metrics
from training.evaluation import slices

REGION = Attribute(
    "region", "text", True, (("north", "region_is_north"), ("tiny", "region_is_tiny"))
)
AGE = Attribute("age", "number", True, (("", "age"),))
DEFINITIONS = SimpleNamespace(attributes=(AGE, REGION))
STAGES = np.array(["new", "loyal", "dormant"])


def rows(count, seed=0, *, new=0):
    """Customers of three stages, long and short tenures, money (some unknown), and a region: north,
    tiny, other, unknown.
    """
    rng = np.random.default_rng(seed)
    as_of = np.full(count, 1_000 * DAY_US)
    region = rng.choice(["north", "tiny", "south", ""], count, p=[0.5, 0.02, 0.38, 0.1])
    flags = {
        f"region_is_{level}": np.where(region == "", np.nan, region == level).astype(float)
        for level in ("north", "tiny")
    }
    money = np.where(rng.random(count) < 0.05, np.nan, rng.lognormal(4, 1, count))
    return pa.table(
        {
            "customer_id": [f"c{k + new}" for k in range(count)],
            "as_of": as_of,
            "first_at": as_of - rng.integers(1, 900, count) * DAY_US,
            "recency_from": as_of - rng.integers(1, 90, count) * DAY_US,
            "stage": STAGES[rng.integers(0, 3, count)],
            "churned": rng.random(count) < 0.4,
            "age": rng.random(count),
            "amount_all": pa.array(money, from_pandas=True),
            **{name: pa.array(values, from_pandas=True) for name, values in flags.items()},
        }
    )


def of(early, late, p, cut):
    return slices.churn_slices(
        cut,
        early=early,
        y=late["churned"].to_numpy(),
        p=p,
        customers=np.array(late["customer_id"].to_pylist()),
    )


def everything(early, late, p):
    return [row for cut in slices.cuts(early, late, DEFINITIONS) for row in of(early, late, p, cut)]


@given(st.integers(0, 1000), st.integers(2, 900))
@how(max_examples=20, deadline=None)
def test_the_slices_of_a_cut_are_the_whole_and_blind_to_order(seed, count):
    early, late = rows(300, seed + 1), rows(count, seed)
    rng = np.random.default_rng(seed)
    p, dealt = np.round(rng.uniform(0.05, 0.95, count), 2), rng.permutation(count)
    found = everything(early, late, p)
    for what in nonempty({row["dimension"] for row in found}):
        assert sum(row["rows"] for row in found if row["dimension"] == what) == count
    again = everything(early.take(rng.permutation(300)), late.take(dealt), p[dealt])
    assert [row["name"] for row in again] == [row["name"] for row in found]
    for one, other in nonempty(zip(found, again, strict=True)):
        assert {k: v for k, v in other.items() if k not in ("dimension", "name")} == pytest.approx(
            {k: v for k, v in one.items() if k not in ("dimension", "name")}, abs=2e-5
        )
    json.dumps(found, allow_nan=False)


def test_cuts_are_stage_tenure_value_and_the_text_attributes_and_rare_levels_are_others():
    early, late = rows(500, 1), rows(2000, 2)
    found = everything(early, late, np.full(2000, 0.4))
    assert list(dict.fromkeys(row["dimension"] for row in found)) == [
        "stage",
        "tenure",
        "value",
        "region",
    ]
    names = {row["name"] for row in found if row["dimension"] == "region"}
    assert names == {"north", "other", "unknown"}  # 40 rows of `tiny` would be nearly names
    tenure = [row for row in found if row["dimension"] == "tenure"]
    assert [row["name"].split()[0] for row in tenure] == ["up", "290", "over"]
    assert all(500 < row["rows"] < 850 for row in nonempty(tenure))
    north = next(row for row in found if row["name"] == "north")
    m = np.array(late["region_is_north"].to_pylist(), dtype=float) == 1
    y = late["churned"].to_numpy()
    assert (north["rows"], north["rate"]) == (m.sum(), pytest.approx(y[m].mean(), abs=1e-5))
    assert north["log_loss"] == pytest.approx(
        metrics.log_losses(y[m], np.full(m.sum(), 0.4)).mean(), abs=1e-5
    )
    before = np.array(early["region_is_north"].to_pylist(), dtype=float) == 1
    left = early["churned"].to_numpy()
    own = (left[before].sum() + 2 * (left.sum() + 1) / 502) / (before.sum() + 2)
    base = metrics.log_losses(y[m], np.full(m.sum(), own)).mean()
    assert north["base_rate_log_loss"] == pytest.approx(base, abs=1e-5)
    assert north["relative"] == pytest.approx(north["log_loss"] / base, abs=1e-4)


def test_a_slice_that_is_too_small_says_so_and_has_no_figures():
    late = rows(700, 3)
    found = everything(rows(300, 4), late, np.full(700, 0.4))
    small = [row for row in found if row["rows"] < slices.LEAST_ROWS]
    assert small
    assert all(
        row
        == {
            "dimension": row["dimension"],
            "name": row["name"],
            "rows": row["rows"],
            "too_few": True,
        }
        for row in nonempty(small)
    )
    assert not [row for row in found if row["rows"] >= slices.LEAST_ROWS and "too_few" in row]
    assert slices.has_enough(np.repeat([0, 1], [180, 20]))
    assert not slices.has_enough(np.repeat([0, 1], [181, 19]))
    assert not slices.has_enough(np.repeat([0, 1], [100, 99]))
    assert slices.has_enough(np.repeat([1, 4, 5], [180, 10, 10]))
    assert not slices.has_enough(np.ones(500, dtype=int))


def test_nobody_and_one_class_have_no_slices_that_speak():
    early, nobody = rows(300), rows(300).slice(0, 0)
    assert everything(early, nobody, np.zeros(0)) == []
    assert of(early, nobody, np.zeros(0), slices.cut_by_training(early, nobody)) == []
    assert slices.worst_slice([]) is None
    late = rows(900, 5)
    stayed = late.set_column(
        late.column_names.index("churned"), "churned", pa.array(np.zeros(900, bool))
    )
    found = everything(early, stayed, np.full(900, 0.1))
    assert all(row["too_few"] for row in nonempty(found))
    assert slices.worst_slice(found) is None
    assert everything(
        early.slice(0, 0), late, np.full(900, 0.4)
    )  # no training row at all: everybody's rate


def test_the_worst_slice_is_worse_only_beyond_its_interval():
    early, late = rows(3000, 6), rows(3000, 7)
    y, dormant = late["churned"].to_numpy(), np.array(late["stage"].to_pylist()) == "dormant"
    good = np.where(y, 0.7, 0.3)
    found = slices.worst_slice(everything(early, late, np.where(dormant, 1 - good, good)))
    assert (found["dimension"], found["name"]) == ("stage", "dormant")
    assert found["relative"] > 1
    assert found["verdict"].startswith("worse than its own base rate by ")
    found = slices.worst_slice(everything(early, late, np.where(dormant, y.mean(), good)))
    assert (found["dimension"], found["name"]) == ("stage", "dormant")
    assert found["verdict"].startswith("no better than its own base rate")
    assert found["compared"] >= 10
    perfect = slices.worst_slice(everything(early, late, np.where(y, 1 - 1e-9, 1e-9)))
    assert perfect["verdict"].startswith("better than its own base rate")
    assert perfect["relative"] < 1e-6


def test_customers_never_trained_on_stand_beside_the_others():
    early, late = (
        rows(600),
        rows(900, 8, new=300),
    )  # c300 … c1199: the first 300 of them were trained on
    known, new = of(early, late, np.full(900, 0.4), slices.cut_by_training(early, late))
    assert (known["name"], known["rows"], new["name"], new["rows"]) == (
        "trained on",
        300,
        "never trained on",
        600,
    )
    assert new["auroc_low"] <= 0.5 <= new["auroc_high"]
    few = of(
        early,
        rows(310, 9, new=300),
        np.full(310, 0.4),
        slices.cut_by_training(early, rows(310, 9, new=300)),
    )
    assert few[1] == {
        "dimension": "customers",
        "name": "never trained on",
        "rows": 10,
        "too_few": True,
    }


def test_the_account_of_a_training_has_slices_of_both_models_in_both_populations(at_home):
    evaluation, speaking = at_home.trained.evaluation, 0
    for model in ("churn", "next_stage"):
        for section in nonempty(evaluation[model].values()):
            counts = {}
            for row in section["slices"]:
                counts[row["dimension"]] = counts.get(row["dimension"], 0) + row["rows"]
            assert set(counts.values()) == {section["rows"]}
            assert sum(row["rows"] for row in section["customers"]) == section["rows"]
            told = [row for row in section["slices"] if not row.get("too_few")]
            assert (section["worst_slice"] is None) == (not told)
            assert [row for row in told if row["rows"] < slices.LEAST_ROWS] == []
            speaking += len(told)
    assert speaking > 0
    assert {"stage", "tenure"} <= {
        row["dimension"] for row in evaluation["churn"]["everyone"]["slices"]
    }
