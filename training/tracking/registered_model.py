"""The registered model: a release behind MLflow's `predict`. MLflow stores this file and runs it.

Input: feature rows, the columns of a run folder's features.parquet that `input_columns` names.
Output of `churn`: p_churn; of `next_stage`: p_next_prospect … p_next_churned. The same numbers as
`lifecycle score`, bit for bit; no ids, no reasons. The file imports nothing from `training`: it
must load where only the model is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas
import pyarrow as pa
from mlflow.pyfunc import PythonModel

try:
    from features.core.errors import WrongType
    from features.recipes.stages import STAGES
    from serving.release import release as releases
    from serving.release.model_columns import input_columns
except ModuleNotFoundError as error:
    import features

    other_package = getattr(features, "__file__", None) or list(features.__path__)
    raise ImportError(
        f"this model needs the package 'features' that is stored with it, but Python finds "
        f"{other_package} first: load the model in another folder, or rename that package"
    ) from error


class ReleaseModel(PythonModel):
    """A release as an MLflow model.

    `model_config["answers"]` is churn or next_stage; the artifact `release` is a release folder.
    """

    def load_context(self, context: Any) -> None:
        """Verify the manifest, load it and rebuild the golden rows. ReleaseRefused."""
        self.scorer = releases.load_release(Path(context.artifacts["release"])).scorer
        self.answers = context.model_config["answers"]

    def predict(
        self, context: Any, model_input: pandas.DataFrame, params: Any = None
    ) -> pandas.DataFrame:
        """A pandas frame of `input_columns` (NaN where null) to one of `output_columns`.

        The index stays. WrongType where a column is missing, a number is infinite, or a stage is
        unknown.
        """
        contractual = self.scorer.definitions.contractual
        rows = _rows(
            model_input, input_columns(self.scorer.columns, self.answers, contractual=contractual)
        )
        if self.answers == "churn":
            return pandas.DataFrame({"p_churn": self.scorer.p_churn(rows)}, index=model_input.index)
        _, p_next = self.scorer.score(rows)
        return pandas.DataFrame(
            {f"p_next_{stage}": p_next[:, k] for k, stage in enumerate(STAGES)},
            index=model_input.index,
        )


def _rows(model_input: pandas.DataFrame, columns: list[tuple[str, str]]) -> pa.Table:
    arrays = {}
    for name, kind in columns:
        if name not in model_input:
            raise _refused(name, "no such column")
        read = {"string": _stages, "long": _integers, "any": _microseconds, "double": _reals}[kind]
        arrays[name] = read(name, model_input[name])
    rows = pa.table(arrays)
    _refuse_missing_instants(rows)
    return rows


def _refuse_missing_instants(rows: pa.Table) -> None:
    """WrongType for a null instant; first_at and last_at may be null without activity (n = 0)."""
    for name in {"as_of", "first_at", "last_at"} & set(rows.column_names):
        missing = rows[name].is_null().to_numpy()
        if name != "as_of":
            missing &= rows["n"].to_numpy() > 0
        if missing.any():
            raise _refused(name, f"{int(missing.sum())} nulls")


def _reals(name: str, column: pandas.Series) -> np.ndarray:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    # The boosters would accept infinity and answer something meaningless.
    if np.isinf(values).any():
        raise _refused(name, f"{int(np.isinf(values).sum())} infinite numbers")
    return values


def _integers(name: str, column: pandas.Series) -> np.ndarray:
    if column.isna().any():
        raise _refused(name, f"{int(column.isna().sum())} nulls")
    return column.to_numpy(dtype=np.int64)


def _microseconds(name: str, column: pandas.Series) -> pa.Array:
    """Instants as microseconds UTC, null where missing.

    From datetimes, RFC 3339 texts, or integers as they are.
    """
    missing = column.isna().to_numpy(dtype=bool)
    if pandas.api.types.is_integer_dtype(column.dtype):
        return pa.array(column.fillna(0).to_numpy(dtype=np.int64), mask=missing)
    try:
        instants = pandas.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise _refused(name, "values that are no instants") from error
    values = instants.dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    return pa.array(values, mask=missing)


def _stages(name: str, column: pandas.Series) -> np.ndarray:
    unknown = ~column.isin(STAGES)
    if unknown.any():
        raise _refused(name, f"{int(unknown.sum())} values that are no stage")
    return column.to_numpy(dtype=object)


def _refused(name: str, got: str) -> WrongType:
    return WrongType(
        where=f"column {name}",
        got=got,
        rule="The input are feature rows as in features.parquet of a run folder.",
        fix="Read them from a run folder, or write them with `lifecycle features`.",
    )


mlflow.models.set_model(ReleaseModel())
