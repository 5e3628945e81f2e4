"""Where a figure is too good, or a family does harm: named, refused or put last."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from features.core import errors
from features.core.settings import settings_from_mapping
from features.engine.columns import list_columns
from features.tables import history as histories
from serving.scoring.parts import Blend, Linear, Rate
from serving.scoring.scorer import Calibration, Scorer
from tests.support.definitions import definitions_of
from training.evaluation import ablation
from training.evaluation.leading_columns import check_leading_columns
from training.examples import Examples

COLUMNS = {
    column.name: column
    for column in list_columns(
        definitions_of(contractual=True), tables=("transactions", "feedback", "contracts")
    )
}


def linear_scorer(weights):
    """p from these weights of columns (by name), as they stand."""
    wide = len(weights) + 14
    part = Linear(
        np.zeros(wide),
        np.ones(wide),
        np.array([[*weights.values(), *np.zeros(14)]]),
        np.zeros((1, wide)),
        np.zeros(1),
    )
    q = Blend(((1.0, Rate((0.0,))),))
    churn = Blend(((1.0, part),))
    return Scorer(
        definitions_of(), tuple(weights), churn, Calibration(), q, ("loyal",), 10**6, 10**6
    )


def rows(values, churned):
    count = len(churned)
    return pa.table(
        {
            "customer_id": [f"c{k}" for k in range(count)],
            "as_of": np.full(count, 400 * 86_400_000_000),
            "eligible": np.ones(count, dtype=bool),
            "churned": churned,
            "stage": ["loyal"] * count,
            "stage_if_inactive": ["loyal"] * count,
            "outcome_stage": np.where(churned, "dormant", "loyal"),
            **values,
        }
    )


def test_a_family_without_which_the_loss_is_lower_is_named_and_another_is_not():
    rng = np.random.default_rng(0)
    recency, noise = rng.normal(0, 1, (2, 2000))
    churned = rng.random(2000) < 1 / (1 + np.exp(-2 * recency))
    name = next(one for one in COLUMNS if one.startswith("satisfaction_mean"))
    weights = {"recency": 2.0, "amount_mean": 0.0, name: 1.5}
    late = rows({"recency": recency, "amount_mean": noise * 0, name: noise}, churned)
    fitted = []

    def fit(remaining):
        fitted.append(remaining)
        return linear_scorer({column: weights[column] for column in remaining})

    examples = Examples(late, tuple(COLUMNS.values()), definitions_of(), (), 0, tuple(weights))
    section = {"eligible": {"auroc": 0.8}, "everyone": {"auroc": 0.8}}
    report = ablation.ablation(linear_scorer(weights), fit, examples, late, section)
    assert report["harmful"] == ["satisfaction"]
    assert [one["family"] for one in report["families"]] == ["satisfaction", "monetary", "recency"]
    assert report["families"][1]["difference"] == 0  # no change is no harm
    assert report["families"][2]["high"] < 0
    assert {len(remaining) for remaining in fitted} == {2}
    evaluation = {"ablation": report}
    assert ablation.note(evaluation).startswith("Without satisfaction the log loss is lower")
    assert "satisfaction (1 columns): +." in "\n".join(ablation.lines(evaluation))
    assert ablation.note({}) is None
    assert ablation.lines({}) == []


CONTRACTS = "customer_id,starts_at,ends_at,recorded_at\n" + "".join(
    f"c{k},2024-0{1 + k % 3}-01,2024-12-0{1 + k % 3},2024-0{1 + k % 3}-{{day}}\n" for k in range(40)
)


def business(folder, *, day, arrives=None):
    """(history, settings) of terms recorded at their start (day "01") or a day later."""
    (folder / "contracts.csv").write_text(CONTRACTS.replace("{day}", day))
    (folder / "sales.csv").write_text(
        "customer_id,occurred_at,amount\n"
        + "".join(f"c{k},2024-02-0{1 + k % 9},5\n" for k in range(40))
    )
    settings = settings_from_mapping(
        {
            "business": {"zone": "UTC", "archetype": "contractual"},
            "files": {"contracts": "contracts.csv", "sales": "sales.csv"},
            "tables": {
                "contracts": "SELECT * FROM contracts",
                "transactions": "SELECT * FROM sales",
            },
            "contract": {"arrives_after_hours": arrives or {}},
        },
        folder=folder,
        where="test",
    )
    return histories.load_history(settings)[0], settings


def report_of(names, *, high):
    figures = {"auroc": 0.999, "auroc_low": 0.99, "auroc_high": high}
    return {
        "churn": {"eligible": figures, "everyone": figures},
        "importance": {"columns": [{"name": "stage=loyal"}, *({"name": name} for name in names)]},
    }


def checked(history, settings, *, noise, high=1.0, names=("days_left", "recency")):
    rng = np.random.default_rng(1)
    churned = np.arange(400) % 4 == 0
    values = {
        "days_left": np.where(churned, 10.0, 200.0) + rng.normal(0, noise, 400),
        "recency": rng.uniform(0, 90, 400),
    }
    scorer = linear_scorer(dict.fromkeys(values, 1.0))
    late = rows(values, churned)
    return check_leading_columns(
        report_of(names, high=high), scorer, late, list(COLUMNS.values()), history, settings
    )


def test_a_column_that_knows_the_outcome_without_a_clock_is_refused(tmp_path):
    history, settings = business(tmp_path, day="01")
    with pytest.raises(errors.LeakSuspected, match=r"days_left \(1\.000 alone\), from contracts"):
        checked(history, settings, noise=1)
    # Not among the ten that lead, an interval that does not reach 1, or no such column: a sentence.
    assert checked(history, settings, noise=1, high=0.9999) is None
    assert "none reveals" in checked(
        history, settings, noise=1, names=["recency"] * 10 + ["days_left"]
    )
    text = checked(history, settings, noise=300)
    assert "none reveals the outcome alone (highest: " in text


@pytest.mark.parametrize(("day", "arrives"), [("02", None), ("01", {"contracts": 0})])
def test_with_a_stated_clock_it_is_a_sentence(tmp_path, day, arrives):
    history, settings = business(tmp_path, day=day, arrives=arrives)
    text = checked(history, settings, noise=1)
    assert "days_left reveal the outcome, and their tables have a clock" in text


def test_the_ablation_of_a_simpler_model_is_refused(tmp_path):
    _, settings = business(tmp_path, day="01")
    training = settings.training.model_copy(update={"churn_model": "recency"})
    ablation.refuse_simpler_model(settings)
    with pytest.raises(errors.BadSetting, match="Only the blend"):
        ablation.refuse_simpler_model(settings.model_copy(update={"training": training}))
