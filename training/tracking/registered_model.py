"""The registered model: a release behind MLflow's `predict`. MLflow keeps this file with the model and runs it to load.

Input: feature rows, the columns of a run folder's features.parquet that `inputs` names. Output of `churn`: p_churn; of
`next_stage`: p_next_prospect … p_next_churned. The same numbers as `lifecycle score`, bit for bit; no ids, no reasons.
It imports nothing from `training`: it must load where only the model is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas
import pyarrow as pa

from features.core.errors import WrongType
from features.recipes.stages import STAGES
from serving.release import release as releases

_INSTANTS_AND_COUNTS = ("as_of", "n", "first_at", "last_at")


def inputs(columns: Sequence[str], answers: str, *, contractual: bool) -> list[tuple[str, str]]:
    """(column, MLflow type) of what the model `answers` needs, in order; `columns` are the scorer's."""
    stages = ["stage", "stage_if_inactive"]
    numbers: tuple[str, ...] = ()
    if answers == "next_stage":
        numbers = _INSTANTS_AND_COUNTS
        stages += ["stage_idle"] if contractual else []
    state = [(name, "string") for name in stages] + [(name, "long") for name in numbers]
    return state + [(name, "double") for name in columns]


def outputs(answers: str) -> list[tuple[str, str]]:
    names = ["p_churn"] if answers == "churn" else [f"p_next_{stage}" for stage in STAGES]
    return [(name, "double") for name in names]


class ReleaseModel(mlflow.pyfunc.PythonModel):
    """`model_config["answers"]` is churn or next_stage; the artifact `release` is a release folder."""

    def load_context(self, context: Any) -> None:
        """Verify the manifest, load, rebuild the golden rows; ReleaseRefused otherwise."""
        self.scorer = releases.load(Path(context.artifacts["release"])).scorer
        self.answers = context.model_config["answers"]

    def predict(
        self, context: Any, model_input: pandas.DataFrame, params: Any = None
    ) -> pandas.DataFrame:
        """A pandas frame of `inputs` (floats NaN where null) to one of `outputs`, with its index.

        WrongType when a column is missing, a number is infinite, or a stage is none.
        """
        contractual = self.scorer.definitions.contractual
        rows = _rows(
            model_input, inputs(self.scorer.columns, self.answers, contractual=contractual)
        )
        if self.answers == "churn":
            return pandas.DataFrame({"p_churn": self.scorer.p_churn(rows)}, index=model_input.index)
        _, p_next = self.scorer.score(rows)
        return pandas.DataFrame(
            {f"p_next_{stage}": p_next[:, k] for k, stage in enumerate(STAGES)},
            index=model_input.index,
        )


def _rows(model_input: pandas.DataFrame, columns: list[tuple[str, str]]) -> pa.Table:
    made = {}
    for name, kind in columns:
        if name not in model_input:
            raise _refused(name, "no such column")
        made[name] = {"string": _stages, "long": _integers, "double": _reals}[kind](
            name, model_input[name]
        )
    return pa.table(made)


def _reals(name: str, column: pandas.Series) -> np.ndarray:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():  # the boosters would answer, with anything
        raise _refused(name, f"{int(np.isinf(values).sum())} infinite numbers")
    return values


def _integers(name: str, column: pandas.Series) -> np.ndarray:
    if column.isna().any():
        raise _refused(name, f"{int(column.isna().sum())} nulls")
    return column.to_numpy(dtype=np.int64)


def _stages(name: str, column: pandas.Series) -> np.ndarray:
    strange = ~column.isin(STAGES)
    if strange.any():
        raise _refused(name, f"{int(strange.sum())} values that are no stage")
    return column.to_numpy(dtype=object)


def _refused(name: str, got: str) -> WrongType:
    return WrongType(
        where=f"column {name}",
        got=got,
        rule="Rows are feature rows as features.parquet of a run has them.",
        fix="Take them from a run folder, or build them with `lifecycle features`.",
    )


mlflow.models.set_model(ReleaseModel())
