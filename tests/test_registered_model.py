"""`models:/churn@champion` and `models:/next_stage@champion`: a release behind MLflow's predict,
and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import serving
from features.core.errors import LifecycleError
from features.recipes.stages import STAGES
from tests.support.businesses import scores
from tests.support.tracking_stores import client, pyfunc
from training.tracking import registry, tracking

# What does not depend on the kind of business is tested on one.
of_the_shop = pytest.mark.parametrize("business", ["trained_shop"], indirect=True)
MODELS = {"churn": ["p_churn"], "next_stage": [f"p_next_{stage}" for stage in STAGES]}


def source(model):
    """The folder of the champion's files."""
    found = client().get_model_version_by_alias(model, "champion")
    return (
        client()
        .get_logged_model(found.source.removeprefix("models:/"))
        .artifact_location.removeprefix("file://")
    )


@pytest.fixture
def loaded(at_home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.store_address())
    monkeypatch.setattr(sys, "path", list(sys.path))  # MLflow puts the model's code in front
    # Whoever loads it would leave compiled code in the model, which is shared.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return lambda model: pyfunc().load_model(f"models:/{model}@champion")


def features(business):
    return pq.read_table(business.run.folder / "features.parquet").to_pandas()


@pytest.mark.parametrize("model", MODELS)
def test_the_champion_gives_the_scores_of_the_run_to_the_bit(loaded, at_home, model):
    rows, scored = features(at_home), scores(at_home).to_pandas().set_index("customer_id")
    rows = rows.sample(frac=1, random_state=3)
    answer = loaded(model).predict(rows)
    assert list(answer.columns) == MODELS[model]
    assert answer.index.equals(rows.index)
    for name in MODELS[model]:
        assert np.array_equal(
            answer[name].to_numpy(), scored.loc[rows["customer_id"], name].to_numpy()
        ), name
    one = loaded(model).predict(rows.iloc[[5]])
    assert np.array_equal(one.to_numpy(), answer.iloc[[5]].to_numpy())


@pytest.mark.parametrize("model", MODELS)
def test_the_signature_is_our_schema_and_the_example_is_invented(loaded, at_home, model):
    found = loaded(model)
    names = [column.name for column in found.metadata.signature.inputs.inputs]
    assert names[-len(at_home.release.scorer.columns) :] == list(at_home.release.scorer.columns)
    assert [column.name for column in found.metadata.signature.outputs.inputs] == MODELS[model]
    assert {"customer_id", "eligible"}.isdisjoint(names)
    example = found.metadata.load_input_example(source(model))
    golden = (
        pq.read_table(at_home.release.folder / "golden" / "rows.parquet", columns=names)
        .slice(0, 5)
        .to_pandas()
    )
    pd.testing.assert_frame_equal(example, golden, check_dtype=False)
    assert found.predict(example).notna().all().all()


@of_the_shop
def test_a_model_without_its_signature_is_not_registered(own_home, monkeypatch):
    """The signature is read back from what was saved; where MLflow has dropped it, nothing is
    registered.
    """
    from mlflow.models import Model

    from training.tracking import store

    before = len(client().search_model_versions("name = 'churn'"))
    monkeypatch.setattr(Model, "signature", property(lambda self: None, lambda self, value: None))
    with store.open_store() as opened, pytest.raises(LifecycleError, match="without its signature"):
        registry._log_model(opened, "churn", own_home.release.folder, None)
    assert len(client().search_model_versions("name = 'churn'")) == before


@of_the_shop
@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("stage", "best", "no stage"),
        ("recency", np.inf, "infinite"),
        ("stage_if_inactive", None, "no stage"),
    ],
)
def test_rows_that_are_no_feature_rows_are_refused(loaded, at_home, column, value, said):
    rows = features(at_home).head(3)
    rows[column] = [value, *rows[column].tolist()[1:]]
    with pytest.raises(Exception, match=said):
        loaded("churn").predict(rows)


@of_the_shop
def test_a_missing_column_is_refused(loaded, at_home):
    with pytest.raises(Exception, match="recency"):
        loaded("next_stage").predict(features(at_home).drop(columns="recency"))


@of_the_shop
def test_a_damaged_model_does_not_load(loaded, at_home, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(source("churn"), copy)
    file = next(copy.rglob("models.json"))
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(LifecycleError, match="not as they were written"):
        pyfunc().load_model(str(copy))


def test_nothing_in_a_model_is_a_pickle_and_its_requirements_are_the_floors(at_home):
    names = [name for _, _, files in os.walk(source("churn")) for name in files]
    assert [
        name for name in names if name.endswith((".pkl", ".pickle", ".joblib", ".pyc", ".skops"))
    ] == []
    asked = registry.requirements()
    assert any(line.startswith("mlflow>=") for line in asked)
    assert any(line.startswith("duckdb") for line in asked)
    assert not any(line.startswith(("optuna", "bentoml")) for line in asked)


@of_the_shop
@pytest.mark.long
def test_it_loads_elsewhere_without_this_project(loaded, at_home, tmp_path):
    """Another process and folder, where our packages can be had from nowhere but the model."""
    rows = tmp_path / "rows.parquet"
    features(at_home).to_parquet(rows)
    code = f"""
import sys, json, warnings
warnings.simplefilter("ignore")
import importlib.machinery
root = {str(Path(serving.__file__).resolve().parents[1])!r}
sys.path[:] = [entry for entry in sys.path if entry not in ("", root)]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
try:
    import serving
except ImportError:
    pass
else:
    raise SystemExit("the project is still importable: " + serving.__file__)
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model({source("churn")!r})
print(json.dumps(model.predict(pandas.read_parquet({str(rows)!r}))["p_churn"].tolist()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr
    known = scores(at_home).to_pandas().set_index("customer_id")["p_churn"]
    assert json.loads(done.stdout) == known.loc[features(at_home)["customer_id"]].tolist()


@pytest.mark.slow
@pytest.mark.long
@of_the_shop
def test_another_features_package_is_named_with_the_way_out(loaded, tmp_path):
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "__init__.py").write_text("")
    code = f"""
import features, mlflow.pyfunc
mlflow.pyfunc.load_model({source("churn")!r})
"""
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    last = answer.stderr.strip().splitlines()[-1]
    assert answer.returncode == 1
    assert "this model needs the package 'features'" in last
    assert str(tmp_path / "features") in last
    assert "load the model in another folder, or rename that package" in last
