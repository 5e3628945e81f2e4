"""Attributes that were written when a customer left are named, by the audit and by the training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from features.audit.attributes import RawColumn, _check_against_leavers
from features.audit.written_back import Leaving
from training.evaluation.leading_columns import telling_attributes

COUNT = 600
IDS = np.array([f"c{k:04d}" for k in range(COUNT)])


def findings(values: np.ndarray, leaver: np.ndarray, kind: str = "text") -> list[str]:
    """What the audit says about one column of the customers, ranks of its texts."""
    leaving = Leaving(pa.array(IDS), np.zeros(COUNT), leaver, ~leaver)
    column = RawColumn("customers.x", kind, IDS, values, len(np.unique(values)))
    return [each.kind for each in _check_against_leavers(column, leaving)]


def test_a_month_as_text_is_judged_by_all_its_levels_together():
    rng = np.random.default_rng(1)
    last = rng.uniform(0, 900, COUNT)
    leaver = last < 700
    months = np.floor(last / 30) + 1
    scrambled = rng.permutation(40)[months.astype(int)].astype(float)  # texts have no order
    assert findings(scrambled, leaver) == ["as of today"]
    for levels in (5, 30, 200, COUNT):
        of_chance = rng.integers(0, levels, COUNT).astype(float)
        assert findings(of_chance, leaver) == []
    assert findings(np.arange(COUNT).astype(float), leaver) == []  # an id


def rows_of(status: np.ndarray, churned: np.ndarray) -> pa.Table:
    levels = ("active", "inactive", "gone")
    return pa.table(
        {
            "eligible": np.ones(len(churned), dtype=bool),
            "churned": churned,
            **{f"status_is_{name}": (status == k).astype(float) for k, name in enumerate(levels)},
        }
    )


def definitions_with(*, constant: bool) -> SimpleNamespace:
    columns = tuple((name, f"status_is_{name}") for name in ("active", "inactive", "gone"))
    return SimpleNamespace(
        attributes=(SimpleNamespace(name="status", constant=constant, columns=columns),)
    )


def test_a_status_of_today_that_is_stated_as_constant_is_one_sentence_of_the_training():
    rng = np.random.default_rng(2)
    churned = rng.random(400) < 0.3
    status = np.where(churned, np.where(rng.random(400) < 0.9, rng.integers(1, 3, 400), 0), 0)
    telling, chance = rows_of(status, churned), rows_of(rng.permutation(status), churned)
    said = telling_attributes(telling, telling, definitions_with(constant=True))
    assert said is not None
    assert "status (AUROC .9" in said
    assert "constant_attributes" in said
    assert telling_attributes(chance, chance, definitions_with(constant=True)) is None
    # With valid_from every version is dated.
    assert telling_attributes(telling, telling, definitions_with(constant=False)) is None
    few = telling.slice(0, 30)
    assert telling_attributes(few, few, definitions_with(constant=True)) is None
