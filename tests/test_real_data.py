"""On the real sets: nobody ever ended in a stage that was said to be impossible, and public counts
hold.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from features.core import settings
from features.core.instants import DAY_US, instant
from features.engine.build import build
from features.labels.outcomes import observe_outcomes
from features.recipes.definitions import learn_definitions
from features.recipes.population_stats import population_stats
from features.tables import history
from serving.scoring.scorer import inactive_index, reachable_from_rows, stage_index
from tests.support.checks import nonempty
from tests.support.public_data import public_file
from training import plan

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "cdnow": "cdnow/cdnow_master.parquet",
    "online_retail": "online_retail/online_retail.parquet",
}


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_no_realised_stage_was_ruled_out(name):
    public_file(FILES[name])
    chosen = settings.load_settings(ROOT / "examples" / f"{name}.toml")
    found, _ = history.load_history(chosen)
    dates = plan.make_plan(found, chosen)
    definitions = learn_definitions(found.as_of(dates.evaluate[0]), chosen)
    seen = 0
    for at in nonempty(dates.refit):
        known = found.as_of(at)
        rows = build(
            known,
            population=population_stats(known, definitions),
            definitions=definitions,
            columns=[],
        )
        outcome = observe_outcomes(found, known, definitions=definitions, settings=chosen).rows
        happened, churned = (
            stage_index(outcome["outcome_stage"].to_numpy()),
            outcome["churned"].to_numpy(),
        )
        assert (happened[churned] == inactive_index(rows)[churned]).all()
        assert reachable_from_rows(rows, definitions)[np.arange(len(happened)), happened][
            ~churned
        ].all()
        seen += len(happened)
    assert seen > 10_000


def test_the_published_churn_rates_come_out():
    """Counted by others over the same windows: online_retail 3,370 customers at .431, cdnow 23,570
    at .860.
    """
    for name, day, customers, rate in (
        ("online_retail", "2011-09-10", 3370, 0.431),
        ("cdnow", "1998-03-31", 23570, 0.860),
    ):
        public_file(FILES[name])
        chosen = settings.load_settings(ROOT / "examples" / f"{name}.toml")
        found, _ = history.load_history(chosen)
        known = found.as_of(instant(day, zone=chosen.zone))
        definitions = learn_definitions(known, chosen)
        rows = observe_outcomes(found, known, definitions=definitions, settings=chosen).rows
        assert rows.num_rows == customers
        assert rows["churned"].to_numpy().mean() == pytest.approx(rate, abs=0.0006)
        assert definitions.horizon_days * DAY_US == 90 * DAY_US
