"""The public Python API: its names, how quickly it is there, its frames, and what it refuses."""

from __future__ import annotations

import doctest
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lifecycle as lc
from lifecycle import business as business_module

NAMES = {
    "Backtest",
    "Business",
    "DECAY_SCALE",
    "Examples",
    "LOG_SCALE",
    "LifecycleError",
    "Client",
    "Model",
    "Recipe",
    "Reduction",
    "Report",
    "SCORE_SCALE",
    "STAGES",
    "ServiceError",
    "Training",
    "__version__",
    "feature",
    "load_release",
    "open",
    "ratio",
    "simulate",
    "variance",
}
HEAVY = {"numpy", "pandas", "pyarrow", "duckdb", "pydantic", "xgboost", "sklearn", "mlflow", "rich"}


@pytest.fixture(scope="module")
def small(shop):
    """The shared shop on few columns, opened by the API."""
    return lc.open(shop[0] / "lifecycle.toml")


@pytest.fixture
def trained(trained_shop, monkeypatch):
    """The API over a trained business, in its home."""
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    return lc.Business(trained_shop.settings, trained_shop.history, {})


@pytest.fixture(scope="module")
def examples(small):
    return small.examples()


@pytest.fixture(scope="module")
def model(trained_shop):
    return lc.load_release(trained_shop.release.folder)


@pytest.fixture(scope="module")
def model_rows(model, trained_shop):
    """The model's rows of the newest day."""
    business = lc.Business(trained_shop.settings, trained_shop.history, {})
    return business.features(as_of="2024-01-31", model=model)


def test_the_exported_names_are_these():
    assert set(lc.__all__) == NAMES
    assert all(getattr(lc, name) is not None for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        lc.absent  # noqa: B018


def python(code, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=dict(os.environ) | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_importing_it_loads_nothing_heavy(tmp_path):
    code = (
        "import lifecycle, sys, json; print(json.dumps(sorted({m.split('.')[0] for m in"
        " sys.modules})))"
    )
    loaded = set(json.loads(python(code, tmp_path).stdout))
    assert "lifecycle" in loaded
    assert not loaded & HEAVY
    assert not loaded & {"features", "serving", "training", "typer"}


@pytest.mark.parametrize("name", ["features", "serving", "training"])
def test_a_folder_of_the_same_name_is_named_with_the_way_out(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    answer = python("import lifecycle", tmp_path)
    last = answer.stderr.strip().splitlines()[-1]
    assert answer.returncode == 1
    assert last.startswith(f"ImportError: lifecycle needs its own package '{name}'")
    assert str(tmp_path / name) in last
    assert "start from another folder, or rename yours" in last


def test_a_folder_that_is_no_package_is_no_obstacle(tmp_path):
    (tmp_path / "features").mkdir()
    answer = python("import lifecycle; print(lifecycle.ratio.__name__)", tmp_path)
    assert answer.stdout == "ratio\n"


def test_the_examples_in_the_docstrings_run(small, tmp_path):
    shutil.copytree(small.settings.folder, tmp_path / "shop")
    names = {"lc": lc, "shop": small, "folder": tmp_path / "shop"}
    results = [
        doctest.DocTestRunner(verbose=False).run(test)
        for module in (business_module,)
        for test in doctest.DocTestFinder().find(module, globs=dict(names))
    ]
    assert sum(result.attempted for result in results) >= 8
    assert sum(result.failed for result in results) == 0


@pytest.mark.slow
@pytest.mark.long
def test_as_of_is_a_datetime_in_every_frame(small, examples):
    at = datetime(2023, 1, 1, tzinfo=UTC)
    for frame in (small.features(as_of=at), small.stages(), examples.frame):
        assert str(frame["as_of"].dtype) == "datetime64[us, UTC]"
    assert set(small.features(as_of=["2023-01-01", "2022-12-01"])["as_of"]) == {
        pd.Timestamp(at),
        pd.Timestamp("2022-12-01", tz="UTC"),
    }


def test_frames_of_three_kinds_hold_the_same_values(small):
    polars = pytest.importorskip("polars")
    arrow = small.features(as_of="2023-01-01", frames="arrow")
    assert isinstance(arrow, pa.Table)
    assert small.features(as_of="2023-01-01").equals(arrow.to_pandas())
    assert polars.from_arrow(arrow).equals(small.features(as_of="2023-01-01", frames="polars"))
    with pytest.raises(lc.LifecycleError, match="frames"):
        small.features(as_of="2023-01-01", frames="spark")


def test_examples_name_their_columns_and_hold_none_that_is_empty(examples):
    frame = examples.frame
    assert len(examples.features) > 15
    assert not frame[list(examples.features)].isna().all().any()
    assert not set(examples.unused_features) & set(frame.columns)
    assert {examples.group, examples.time, examples.split, *examples.labels} <= set(frame.columns)
    assert set(frame[examples.split]) <= {"train", "evaluate", "later"}


def test_pairs_come_back_in_their_order_with_their_own_columns(small):
    # Definitions are learned at the earliest instant, so both calls have the same one.
    everyone = small.features(as_of=["2022-11-05", "2023-01-01"])
    everyone = everyone[everyone["as_of"] == "2023-01-01T00:00:00Z"]
    known = everyone["customer_id"].tolist()
    pairs = pd.DataFrame(
        {
            "campaign": ["b", "a", "c", "a"],
            "customer_id": [known[3], known[0], "nobody", known[0]],
            "as_of": pd.to_datetime(["2023-01-01", "2023-01-01", "2023-01-01", "2022-11-05"]),
        }
    )
    rows = small.features(pairs=pairs)
    assert rows["campaign"].tolist() == ["b", "a", "c", "a"]
    assert rows["customer_id"].tolist() == pairs["customer_id"].tolist()
    assert pd.isna(rows["stage"][2])
    alone = everyone.set_index("customer_id").loc[known[3]]
    features = [name for name in everyone.columns if name not in ("customer_id", "as_of")]
    assert rows.loc[0, features].equals(alone[features].rename(0))


def test_pairs_refuse_columns_that_are_features(small):
    pairs = pd.DataFrame({"customer_id": ["1"], "as_of": ["2023-01-01"], "stage": ["new"]})
    with pytest.raises(lc.LifecycleError, match="stage"):
        small.features(pairs=pairs)
    with pytest.raises(lc.LifecycleError, match="both or neither"):
        small.features()


def test_the_check_is_data_and_prints_as_text(small):
    report = small.check()
    assert report["tables"]["transactions"]["read"] > 100
    assert "read = " in str(report)


def test_a_model_predicts_what_the_batch_job_wrote(trained, trained_shop):
    model = lc.load_release()
    scores = trained.score(as_of="2024-01-31")
    rows = trained.features(as_of="2024-01-31", model=model)
    shuffled = rows.sample(frac=1, random_state=3)
    predicted = model.predict(shuffled)
    assert predicted["customer_id"].tolist() == shuffled["customer_id"].tolist()
    expected = scores.set_index("customer_id").loc[shuffled["customer_id"]].reset_index()
    for name in ("p_churn", "p_next_churned", "p_churn_low", "stage", "reason_1"):
        assert predicted[name].tolist() == expected[name].tolist()
    written = pq.read_table(trained_shop.run.folder / "scores.parquet")
    assert str(written.schema.field("as_of").type) == "timestamp[us, tz=UTC]"


def test_a_model_refuses_rows_it_cannot_read(model, model_rows):
    rows = model_rows
    with pytest.raises(lc.LifecycleError, match="no such column"):
        model.predict(rows.drop(columns=[model.features[0]]))
    broken = rows.copy()
    broken[model.features[0]] = [np.inf] + [0.0] * (len(rows) - 1)
    with pytest.raises(lc.LifecycleError, match="1 infinite numbers"):
        model.predict(broken)
    with pytest.raises(lc.LifecycleError, match="a dict"):
        model.predict({})
    assert len(model.predict(rows.head(0))) == 0


def test_rows_with_other_definitions_than_the_models_are_refused(trained, model):
    with pytest.raises(lc.LifecycleError, match="other definitions than the model's"):
        model.predict(trained.features(as_of="2023-09-01"))


def pairs_of(**changed):
    columns = {"customer_id": ["000001"], "as_of": ["2023-05-01"]} | changed
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def rows_of_may(small):
    return small.features(as_of="2023-05-01").reset_index(drop=True)


@pytest.mark.parametrize(
    ("as_of", "count"),
    [
        ("2023-05-01", 1),
        (np.datetime64("2023-05-01"), 1),
        (pd.date_range("2023-05-01", periods=2, freq="30D"), 2),
        (pd.Series(pd.to_datetime(["2023-05-01", "2023-05-31"])), 2),
        (("2023-05-01", datetime(2023, 5, 31, tzinfo=UTC)), 2),
    ],
)
def test_instants_may_be_of_any_kind(small, rows_of_may, as_of, count):
    rows = small.features(as_of=as_of)
    assert rows["as_of"].nunique() == count
    assert rows[rows["as_of"] == "2023-05-01"].equals(rows_of_may)


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda b: b.features(as_of=pd.NaT), "a missing instant"),
        (lambda b: b.features(as_of=[]), "no instant"),
        (lambda b: b.features(as_of=20240601), "a int"),
        (lambda b: b.features(as_of=[1.5]), "a float"),
        (lambda b: b.features(as_of="2031-01-01"), "the data end at"),
        (lambda b: b.features(as_of="2023-05-01", model="x"), "model: a str"),
        (lambda b: b.features(pairs=pairs_of().iloc[:0]), "pairs: 0 rows"),
        (lambda b: b.features(pairs=pd.DataFrame()), "pairs: no column customer_id"),
        (lambda b: b.features(pairs=pairs_of(as_of=["2031-01-01"])), "the data end at"),
        (lambda b: b.features(pairs=pairs_of(as_of=["soon"])), r"pairs[.]as_of: 1 rows"),
        (lambda b: b.train(only="x"), "train: an unknown model"),
        (lambda b: lc.open(3), "config: a int"),
        (lambda b: lc.load_release(5), "release: a int"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(small, ask, words):
    with pytest.raises(lc.LifecycleError, match=words) as told:
        ask(small)
    assert "/tmp" not in str(told.value)


def test_a_frame_with_two_columns_of_one_name_is_refused(small):
    twice = pd.concat([pairs_of(), pairs_of()[["as_of"]]], axis=1)
    with pytest.raises(lc.LifecycleError, match="two columns of one name"):
        small.features(pairs=twice)


def test_text_in_a_feature_column_is_refused(model, model_rows):
    rows = model_rows.head(3)
    name = model.features[0]
    with pytest.raises(lc.LifecycleError, match=f"column {name}: type .* no number"):
        model.predict(rows.assign(**{name: ["many"] * 3}))
    with pytest.raises(lc.LifecycleError, match=r"column last_at: .* no instant"):
        model.predict(rows.assign(last_at=["yesterday"] * 3))
    with pytest.raises(lc.LifecycleError, match="Build the rows for this model"):
        model.predict(rows.drop(columns=name))


@pytest.mark.slow
@pytest.mark.long
def test_threads_wait_for_each_other(small):
    alone = [small.features(as_of=day) for day in ("2023-04-01", "2023-05-01")]
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(small.features, as_of=day) for day in ("2023-04-01", "2023-05-01") * 2]
        together = [task.result() for task in tasks]
    for rows, other in zip(together, alone * 2, strict=True):
        assert rows.equals(other)
