"""`lifecycle compare`: which predictions are better on the rows that all of them predict."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.core import errors
from serving.batch.writers import with_datetimes
from tests.support.businesses import copied
from tests.support.command_line import run_here
from training import metrics
from training.compare import PredictionSet, compare, read_set
from training.holdout_file import find_holdout, save_holdout
from training.predictions_file import P_NEXT, Predictions
from training.reports.compared_text import compared_text


@pytest.fixture(scope="module")
def ours(trained_shop):
    """The hold-out predictions of a training, with the outcomes it learned."""
    [folder] = set((trained_shop.home / "mlruns" / "holdout").iterdir())
    return pq.read_table(folder / "predictions.parquet")


def as_set(rows, name="ours", *, p=None, labels=None):
    own = rows["p_churn"].to_numpy() if p is None else p
    p_next = np.column_stack([rows[column].to_numpy() for column in P_NEXT])
    predictions = Predictions(rows.select(["customer_id", "as_of"]), own, p_next, 0)
    return PredictionSet(name, predictions, labels)


@pytest.fixture
def compared(trained_shop):
    return lambda *sets: compare(trained_shop.history, trained_shop.settings, sets)


def test_a_set_is_no_different_from_itself(compared, ours):
    report = compared(as_set(ours), as_set(ours))
    assert report["names"] == ["ours (1)", "ours (2)"]
    for section in ("churn", "next_stage"):
        for figures in report[section].values():
            assert figures["verdicts"] == ["ours (2) is no different from ours (1)"]
            assert figures["models"]["ours (1)"] == figures["models"]["ours (2)"]
            assert set(figures["differences"]["ours (2)"].values()) == {0.0}


@pytest.mark.slow
@pytest.mark.long
def test_the_difference_is_paired_on_the_rows_that_all_predict(compared, ours):
    y, p = ours["churned"].to_numpy(), ours["p_churn"].to_numpy()
    flat = np.full(ours.num_rows, y.mean())
    fewer = ours.slice(11)
    report = compared(as_set(ours), as_set(fewer, "flat", p=flat[11:]))
    assert report["rows"] == fewer.num_rows
    assert report["predictions"] == {"ours": ours.num_rows, "flat": fewer.num_rows}
    expected = metrics.log_losses(y, flat)[11:].mean() - metrics.log_losses(y, p)[11:].mean()
    pair = report["churn"]["everyone"]["differences"]["flat"]
    assert pair["difference"] == pytest.approx(expected)
    assert report["churn"]["everyone"]["verdicts"][0].startswith("flat is worse than ours by ")
    turned = compared(as_set(fewer, "flat", p=flat[11:]), as_set(ours))
    assert turned["churn"]["everyone"]["differences"]["ours"]["difference"] == pytest.approx(
        -expected
    )
    assert "ours is better than flat by " in compared_text(turned)


@pytest.mark.long
@pytest.mark.slow
def test_time_and_size_are_shown_where_they_are_known(compared, trained_shop, ours, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    trained = read_set(trained_shop.release.id, trained_shop.settings)
    report = compared(trained, as_set(ours, "a file"))
    cost = report["costs"][trained_shop.release.id]
    files = [path for path in trained_shop.release.folder.rglob("*") if path.is_file()]
    assert cost["release_bytes"] == sum(path.stat().st_size for path in files)
    assert cost["features"] == len(trained_shop.release.scorer.columns)
    assert cost["training_seconds"] > 0
    assert set(report["costs"]["a file"].values()) == {None}
    [line] = [line for line in compared_text(report).splitlines() if "MB" in line]
    assert line.endswith(f"{cost['features']}")
    assert "MB" not in compared_text(compared(as_set(ours), as_set(ours)))


def test_seconds_are_not_taken_for_the_id_of_a_run(trained_shop, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    seconds = read_set(trained_shop.release.id, trained_shop.settings).cost.training_seconds
    with pytest.raises(errors.FileMissing):
        read_set(f"{seconds:.1f}", trained_shop.settings)


def test_a_training_is_found_by_its_name_unless_several_have_it(ours, tmp_path, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(tmp_path))
    p = ours["p_churn"].to_numpy()
    p_next = np.full((ours.num_rows, 7), 1 / 7)
    for folder, name in (("r1", "base"), ("r2", "other"), ("r3", "other")):
        of = {"release": folder, "churn": f"run-{folder}", "name": name}
        save_holdout(folder, ours, p, p_next, of=of, seconds=1.0)
    found, _ = find_holdout("base")
    assert found.num_rows == ours.num_rows
    assert find_holdout("run-r1") is not None
    assert find_holdout("nothing") is None
    with pytest.raises(errors.UsageError, match="r2, r3"):
        find_holdout("other")


@pytest.mark.slow
@pytest.mark.long
def test_the_order_of_the_rows_says_nothing(compared, ours):
    noisy = np.clip(ours["p_churn"].to_numpy() * 0.9 + 0.02, 0, 1)
    turned = ours.take(pa.array(np.arange(ours.num_rows)[::-1]))
    report = compared(as_set(ours), as_set(ours, "other", p=noisy))
    again = compared(as_set(turned), as_set(turned, "other", p=noisy[::-1]))
    assert report == again


@pytest.mark.slow
@pytest.mark.long
def test_another_question_is_refused(compared, ours):
    labels = ours["churned"].to_numpy().copy()
    compared(as_set(ours, labels=labels), as_set(ours))
    labels[:3] = ~labels[:3]
    with pytest.raises(errors.BadSetting, match="with another outcome"):
        compared(as_set(ours), as_set(ours, "theirs", labels=labels))


@pytest.mark.long
def test_one_set_is_no_comparison_and_strangers_share_no_row(compared, ours):
    with pytest.raises(errors.BadSetting, match="at least two"):
        compared(as_set(ours))
    others = ours.set_column(0, "customer_id", pa.array([f"x{k}" for k in range(ours.num_rows)]))
    with pytest.raises(errors.EmptyTable, match="every set predicts"):
        compared(as_set(ours), as_set(others))
    later = ours.set_column(1, "as_of", pa.array(ours["as_of"].to_numpy() + 1))
    with pytest.raises(errors.EmptyTable, match="every set predicts"):
        compared(as_set(ours), as_set(later))


@pytest.mark.slow
@pytest.mark.long
def test_the_command_takes_files_and_ids_of_releases_and_runs(trained_shop, ours, home):
    copied(trained_shop, home)
    pq.write_table(
        with_datetimes(ours.select(["customer_id", "as_of", "p_churn"])), home / "theirs.parquet"
    )
    runs = list(trained_shop.trained.runs.values())
    ended = run_here(
        "compare",
        trained_shop.release.id,
        runs[0],
        home / "theirs.parquet",
        "-c",
        trained_shop.folder / "lifecycle.toml",
        "--json",
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["names"] == [trained_shop.release.id, runs[0], "theirs.parquet"]
    assert "next_stage" not in report
    assert all("no different" in one for one in report["churn"]["eligible"]["verdicts"])


def test_what_is_neither_a_file_nor_trained_here_is_named(trained_shop, home):
    with pytest.raises(errors.FileMissing, match="lifecycle runs"):
        read_set("abc", trained_shop.settings)
