"""No benchmark rots unseen: each can be imported, and the one of the service is run when tiny."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
# They run in environments of their own, with the opponents' libraries.
OPPONENTS = {"benchmarks.features.featuretools_side", "benchmarks.models.automl_side"}
MODULES = sorted(
    ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    for path in (PROJECT / "benchmarks").rglob("*.py")
)


@pytest.mark.parametrize("name", [name for name in MODULES if name not in OPPONENTS])
def test_it_can_be_imported(name, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT)
    importlib.import_module(name)


def test_figures_of_the_curve_are_sums_over_dates_and_sets(monkeypatch):
    monkeypatch.syspath_prepend(PROJECT)
    figures = importlib.import_module("benchmarks.time.figures")
    judge = importlib.import_module("benchmarks.time.judge")

    def date(data, losses, brier):
        losses = {
            key: {"rows": 9, "events": 3.0, "curve": curve, "classifier": other}
            for key, (curve, other) in losses.items()
        }
        return judge.JudgedDate(
            data, f"{data} day", losses, {"everyone": brier}, {7: 0.02, 30: None}
        )

    dates = [
        date(
            "one",
            {("everyone", 7): (0.5, 0.4), ("everyone", 30): (0.3, 0.3)},
            {"ours": 0.1, "BG/NBD": 0.2, "sBG": None},
        ),
        # Nothing was fitted for 30 days on this date.
        date(
            "two",
            {("everyone", 7): (0.1, 0.4), ("everyone", 30): (0.9, float("nan"))},
            {"ours": 0.2, "BG/NBD": 0.2},
        ),
    ]
    result = figures.figures(dates, {"one": {"whole": 30.0, "curve": 10.0}})
    first = result["log_loss_of_the_classifier"]
    assert first["by_horizon"] == {"7d": 0.75, "30d": 1.0}
    assert (first["value"], first["wanted"], first["holds"]) == (1.0, 1.005, True)
    assert result["brier_one"]["by_baseline"] == {"BG/NBD": 0.5}
    assert result["brier_two"]["holds"] is False  # equal is not below
    assert result["training_time"]["value"] == 1.5
    assert result["ece_return_one"] == {"value": 0.02, "wanted": None, "holds": None}
    assert "one, everyone" in figures.report_text(dates)
    json.dumps(result, allow_nan=False)


@pytest.mark.long
@pytest.mark.slow
def test_the_service_s_runs_to_its_end_on_a_tiny_business(tmp_path):
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", "--smallest", "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    figures = json.loads(said.stdout.splitlines()[-1])
    assert figures["good_calls_refused"] == {"value": 0, "wanted": 0, "holds": True}
    assert figures["lost_at_sigterm"] == {"value": 0, "wanted": 0, "holds": True}
