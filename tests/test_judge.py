"""`lifecycle judge`: anybody's predictions on our rows and labels, beside the same baselines."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import lifecycle as lc
from features.core import errors
from features.core.instants import DAY_US
from serving.batch.writers import with_datetimes
from tests.support.businesses import copied
from tests.support.command_line import run_here
from training.evaluation.baseline_comparison import speak_of
from training.judge import judge_rows, judged_examples
from training.predictions_file import P_NEXT, Predictions, read_predictions
from training.reports.judged_text import THEIRS, judged_text


@pytest.fixture(scope="module")
def ours(trained_subscriptions):
    """The hold-out predictions of a training: customer_id, as_of (int64 µs), p_churn, p_next."""
    [folder] = set((trained_subscriptions.home / "mlruns" / "holdout").iterdir())
    rows = pq.read_table(folder / "predictions.parquet")
    return rows.select(["customer_id", "as_of", "p_churn", *P_NEXT])


@pytest.fixture(scope="module")
def labelled(trained_subscriptions, ours):
    """The instants and the labelled rows that our own predictions are judged on."""
    b = trained_subscriptions
    return judged_examples(b.history, b.settings, Predictions(ours, None, None, 0))


@pytest.fixture
def judged(trained_subscriptions, labelled, tmp_path):
    """Judge a table of predictions, as a Parquet file."""
    settings, (dates, examples) = trained_subscriptions.settings, labelled

    def write_and_judge(table):
        path = tmp_path / "predictions.parquet"
        pq.write_table(with_datetimes(table), path)
        return judge_rows(read_predictions(path, settings), examples, dates, settings)

    return write_and_judge


@pytest.fixture(scope="module")
def whole_report(trained_subscriptions, labelled, ours):
    """Our own predictions, judged once for all tests."""
    dates, examples = labelled
    p_next = np.column_stack([ours[name].to_numpy() for name in P_NEXT])
    predictions = Predictions(ours, ours["p_churn"].to_numpy(), p_next, 0)
    return judge_rows(predictions, examples, dates, trained_subscriptions.settings)


def test_our_own_predictions_have_our_own_figures(trained_subscriptions, ours, whole_report):
    evaluation, report = speak_of(THEIRS, trained_subscriptions.trained.evaluation), whole_report
    assert report["next_stage"] == evaluation["next_stage"]
    for who, figures in report["churn"].items():
        served = evaluation["churn"][who]
        # The gate alone asks for the lower end of the calibration error of what is served.
        assert figures == {name: served[name] for name in served if name != "ece_low"}
    assert report["predictions"]["judged"] == report["predictions"]["read"] == ours.num_rows
    assert not any(
        count for name, count in report["predictions"].items() if name not in ("read", "judged")
    )


def test_the_text_shows_the_figures_of_what_is_judged(whole_report):
    lines = judged_text(whole_report).splitlines()
    [line] = [line for line in lines if line.startswith(f"    {THEIRS}  ")][:1]
    for who in ("everyone", "eligible"):
        figures = whole_report["churn"][who]
        assert f"{figures['auroc']:.4f}".lstrip("0") in line
        assert f"{figures['log_loss']:.4f}".lstrip("0") in line
    assert not any("trained on:" in line for line in lines)


def test_every_prediction_is_counted(trained_subscriptions, ours, judged):
    late = trained_subscriptions.history.data_until // DAY_US * DAY_US
    first = ours.slice(0, 1).to_pylist()[0]
    empty = ours.slice(0, 1).to_pylist()[0] | {"customer_id": "empty", "p_churn": None}
    more = [
        first | {"customer_id": "nobody"},
        first | {"as_of": late},
        first | {"as_of": late - DAY_US},
        empty,
    ]
    some = ours.slice(0, ours.num_rows - 7)
    report = judged(pa.concat_tables([some, pa.Table.from_pylist(more, schema=ours.schema)]))
    assert report["predictions"] == {
        "read": some.num_rows + 4,
        "judged": some.num_rows,
        "empty": 1,
        "outcome_not_known": 2,
        "no_such_row": 1,
        "rows_not_predicted": 7,
        "moved_off_0_or_1": 0,
    }
    assert report["churn"]["everyone"]["rows"] == some.num_rows


def test_p_alone_and_p_next_alone_are_judged(ours, judged, whole_report):
    of_p = judged(ours.select(["customer_id", "as_of", "p_churn"]))
    of_stages = judged(ours.select(["customer_id", "as_of", *P_NEXT]))
    assert "next_stage" not in of_p
    assert "churn" not in of_stages
    assert of_stages["by_date"] == []
    assert of_p["churn"] == whole_report["churn"]
    assert of_stages["next_stage"] == whole_report["next_stage"]


def test_certainty_is_moved_and_counted(ours, judged):
    p = np.where(ours["p_churn"].to_numpy() > 0.5, 1.0, 0.0)
    certain = ours.select(["customer_id", "as_of"]).append_column("p", pa.array(p))
    report = judged(certain)
    assert report["predictions"]["moved_off_0_or_1"] == ours.num_rows
    assert np.isfinite(report["churn"]["everyone"]["log_loss"])


def test_the_order_of_the_rows_says_nothing(ours, judged, whole_report):
    turned = ours.take(pa.array(np.arange(ours.num_rows)[::-1]))
    assert judged(turned) == whole_report


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda t: t.drop(["as_of"]), errors.ColumnMissing, "as_of"),
        (lambda t: t.select(["customer_id", "as_of"]), errors.ColumnMissing, "no column p"),
        (lambda t: t.append_column("p", t["p_churn"]), errors.BadSetting, "both a column p"),
        (lambda t: pa.concat_tables([t, t.slice(0, 3)]), errors.WrongType, "3 rows that repeat"),
        (lambda t: with_p(t, 1.01), errors.WrongType, "below 0 or over 1"),
        (lambda t: with_p(t, -0.01), errors.WrongType, "below 0 or over 1"),
        (lambda t: with_p(t, np.inf), errors.WrongType, "not_finite"),
        (lambda t: t.slice(0, 0), errors.EmptyTable, "0 rows"),
        (lambda t: doubled(t), errors.WrongType, "do not sum to 1"),
        (
            lambda t: t.set_column(1, "as_of", pa.array([0] * t.num_rows)),
            errors.UsageError,
            "as_of",
        ),
    ],
)
def test_a_bad_file_is_refused(trained_subscriptions, ours, tmp_path, change, error, words):
    path = tmp_path / "predictions.parquet"
    pq.write_table(change(with_datetimes(ours)), path)
    with pytest.raises(errors.LifecycleError, match=words) as refused:
        read_predictions(path, trained_subscriptions.settings)
    assert isinstance(refused.value, error) or error is errors.UsageError


def with_p(table, value):
    p = table["p_churn"].to_numpy().copy()
    p[3] = value
    return table.set_column(table.column_names.index("p_churn"), "p_churn", pa.array(p))


def doubled(table):
    place = table.column_names.index(P_NEXT[3])
    return table.set_column(place, P_NEXT[3], pc.add(table[P_NEXT[3]], 0.001))


def test_nothing_that_matches_is_an_error_with_what_to_compare(trained_subscriptions, ours, judged):
    b = trained_subscriptions
    of_others = ours.set_column(
        0, "customer_id", pa.array(["x" + str(k) for k in range(ours.num_rows)])
    )
    with pytest.raises(errors.EmptyTable, match="lifecycle examples"):
        judged(of_others)
    end = b.history.data_until // DAY_US * DAY_US
    late = ours.set_column(1, "as_of", pa.array([end] * ours.num_rows))
    with pytest.raises(errors.EmptyTable, match="outcomes are known"):
        judged_examples(b.history, b.settings, Predictions(late, None, None, 0))


@pytest.mark.slow
@pytest.mark.long
def test_the_command_reads_csv_and_records_a_run(trained_subscriptions, ours, home):
    copied(trained_subscriptions, home)
    folder = trained_subscriptions.folder
    keys = with_datetimes(ours.select(["customer_id", "as_of"]))
    dated = keys.set_column(1, "as_of", pc.strftime(keys["as_of"], "%Y-%m-%dT%H:%M:%SZ"))
    path = home / "theirs.csv"
    pyarrow.csv.write_csv(dated.append_column("p", ours["p_churn"]), path)
    ended = run_here(
        *("judge", "--predictions", path, "-c", folder / "lifecycle.toml", "--name", "a try"),
        *("--tag", "team=crm", "--json"),
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["run"], ended.stderr
    assert report["churn"]["everyone"]["rows"] == ours.num_rows
    listed = run_here("runs", "--json")
    [run] = [run for run in json.loads(listed.stdout)["runs"] if run["job"] == "judge"]
    assert (run["name"], run["tags"]) == ("a try", {"team": "crm"})
    text = judged_text(report)
    assert "this model" in text
    assert "our model" not in text


@pytest.mark.long
@pytest.mark.slow
def test_python_judges_and_compares_frames(trained_subscriptions, ours, home):
    copied(trained_subscriptions, home)
    shop = lc.open(trained_subscriptions.folder / "lifecycle.toml")
    frame = with_datetimes(ours.select(["customer_id", "as_of", "p_churn"])).to_pandas()
    report = shop.judge(frame, name="a frame")
    assert report["churn"]["everyone"]["rows"] == len(frame)
    flat = frame.assign(p_churn=0.5)
    compared = shop.compare(trained_subscriptions.release.id, flat=flat)
    assert compared["names"] == [trained_subscriptions.release.id, "flat"]
    assert "flat is worse than" in str(compared)
