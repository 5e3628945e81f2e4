"""Registered models `churn` and `next_stage`: one version each a release, and the aliases. One of the few MLflow files.

`challenger` is the release trained last, `champion` the one that is served. CURRENT alone decides what is served; an
alias that lags is moved by whoever opens the store next.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import serving
from features.core.errors import ReleaseRefused, StoreFailed
from serving.release import release as releases
from training import promotion_log
from training.tracking.store import Store

MODELS = {
    "churn": "P(churn in the horizon) of feature rows, as `lifecycle score` gives it.",
    "next_stage": "P(stage at the horizon's end) of feature rows, as `lifecycle score` gives it.",
}
CHALLENGER, CHAMPION = "challenger", "champion"
EXAMPLE_ROWS = 5


def register(
    store: Store,
    name: str,
    models: Sequence[str],
    *,
    run: str,
    tags: dict[str, str],
    metrics: Sequence[Any],
) -> None:
    """A version of each model over release `name`, and `challenger` on it. A release that is gone has none."""
    for model in models:
        if (there := _version_of(store, model, name)) is None and (
            releases.releases() / name
        ).is_dir():
            there = _new_version(store, model, name, run, tags, metrics)
        if there is not None:
            store.client.set_registered_model_alias(model, CHALLENGER, there)


def forget(store: Store, run: Any) -> None:
    """Take back the versions and models of a run that was not written to its end."""
    for found in store.client.search_model_versions(f"run_id = '{run.info.run_id}'"):
        store.client.delete_model_version(found.name, found.version)
    for made in run.outputs.model_outputs if run.outputs else ():
        store.client.delete_logged_model(made.model_id)


def lagging(store: Store) -> list[str]:
    """The models whose champion is not the release that is served; none when nothing is served."""
    served = serving_now()
    return [model for model in MODELS if served and served != release_of(store, model, CHAMPION)]


def repair(store: Store) -> list[str]:
    """Move the lagging champions to the release that is served; which moved. One nobody registered yet is registered."""
    served, moved = serving_now(), []
    for model in lagging(store):
        there = _version_of(store, model, served) or _new_version(store, model, served, None, {})
        store.client.set_registered_model_alias(model, CHAMPION, there)
        _tag(store, model, there, promotion_log.tags(served))
        moved.append(model)
    return moved


def _tag(store: Store, model: str, made: str, tags: dict[str, str]) -> None:
    """How it came to be served, on the version and on the run it was trained in."""
    run = store.client.get_model_version(model, made).run_id
    for name, value in tags.items():
        store.client.set_model_version_tag(model, made, name, value)
        if run:
            store.client.set_tag(run, name, value)


def serving_now() -> str | None:
    """The id CURRENT names, None when nothing was promoted yet."""
    try:
        return releases.current().name
    except ReleaseRefused:
        return None


def release_of(store: Store, model: str, alias: str) -> str | None:
    """The release behind an alias, None when there is none."""
    from mlflow.exceptions import MlflowException

    with contextlib.suppress(MlflowException):
        return store.client.get_model_version_by_alias(model, alias).tags.get("release")
    return None


def _version_of(store: Store, model: str, name: str) -> str | None:
    found = store.client.search_model_versions(f"name = '{model}' AND tags.release = '{name}'")
    return max((each.version for each in found), key=int, default=None)


def _new_version(
    store: Store,
    model: str,
    name: str,
    run: str | None,
    tags: dict[str, str],
    metrics: Sequence[Any] = (),
) -> str:
    from mlflow.entities import LoggedModelOutput, Metric
    from mlflow.exceptions import MlflowException

    client, logged = store.client, _log(store, model, releases.releases() / name, run)
    if run:
        client.log_outputs(run, [LoggedModelOutput(logged, step=0)])
        of_model = [
            Metric(each.key, each.value, each.timestamp, each.step, model_id=logged, run_id=run)
            for each in metrics
        ]
        client.log_batch(run, metrics=of_model)
    with contextlib.suppress(MlflowException):  # it is there already
        client.create_registered_model(model, description=MODELS[model])
    made = client.create_model_version(
        model,
        source=f"models:/{logged}",
        run_id=run,
        model_id=logged,
        tags={**tags, "release": name},
    )
    return made.version


def _log(store: Store, model: str, folder: Path, run: str | None) -> str:
    """The id of a model in the store: release, code and signature. StoreFailed when it lost its signature on the way.

    Step by step and not by `log_model`, which infers, validates by loading (a second a model), and writes the user's
    name and the script's path into the tags.
    """
    import mlflow
    from mlflow.models import Model

    made = store.client.create_logged_model(
        store.experiment, model, run, model_type="release", tags={"release": folder.name}
    )
    with tempfile.TemporaryDirectory(prefix="lifecycle-model-") as place:
        path, about = (
            Path(place) / "model",
            Model(made.artifact_location, run_id=run, model_id=made.model_id),
        )
        signature = _save(mlflow.pyfunc.save_model, model, folder, path, about)
        if Model.load(str(path)).signature != signature:
            raise StoreFailed(
                where="the tracking store",
                got=f"a model {model} without its signature",
                rule="A registered model states its columns.",
                fix="Please report it.",
            )
        for kept in path.rglob("__pycache__"):
            shutil.rmtree(kept)
        store.client.log_model_artifacts(made.model_id, str(path))
    store.client.finalize_logged_model(made.model_id, "READY")
    return made.model_id


def _save(save_model: Any, model: str, folder: Path, path: Path, about: Any) -> Any:
    """The model as a folder, with a signature from our own schema (MLflow's own drops it for nullable integers)."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from training.tracking import registered_model

    # Its golden rows were made in training and are made again by every load; here the hashes are enough.
    releases.verify(folder)
    stated = {
        name: json.loads((folder / f"{name}.json").read_text()) for name in ("models", "stages")
    }
    columns = registered_model.inputs(
        stated["models"]["columns"], model, contractual=stated["stages"]["contractual"]
    )
    example = pq.read_table(
        folder / "golden" / "rows.parquet", columns=[name for name, _ in columns]
    )
    signature = ModelSignature(
        *(
            Schema([ColSpec(kind, name) for name, kind in side])
            for side in (columns, registered_model.outputs(model))
        )
    )
    save_model(
        path,
        mlflow_model=about,
        python_model=registered_model.__file__,
        artifacts={"release": str(folder)},
        model_config={"answers": model},
        signature=signature,
        code_paths=_code(),
        pip_requirements=requirements(),
        input_example=example.slice(0, EXAMPLE_ROWS).to_pandas(),  # invented customers
    )
    return signature


def requirements() -> list[str]:
    """What a model needs to be loaded: the floors this project states for scoring, and this MLflow's release line."""
    try:
        stated = [line for line in requires("customer-lifecycle") or [] if "extra ==" not in line]
    except PackageNotFoundError:
        stated = []
    major, minor = version("mlflow").split(".")[:2]
    return [f"mlflow>={major}.{minor}", *stated]


def _code() -> list[str]:
    """Our code goes with the model, so it loads where the project is not installed, and as it was."""
    root = Path(serving.__file__).parent.parent
    return [str(root / "features"), str(root / "serving")]
