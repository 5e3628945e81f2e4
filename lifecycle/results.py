"""What the Python API returns: reports, examples, a training, a backtest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Report(dict[str, Any]):
    """A report as plain data; `print` shows it as the command line does."""

    def __init__(self, value: dict[str, Any], text: str) -> None:
        super().__init__(value)
        self.text = text

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Examples:
    """Labelled feature rows, one for each customer and as_of, and which of their columns are what.

    `features` are the columns that a model may use; none of them is null everywhere.
    `unused_features` are in no frame: null everywhere, or with a window longer than the history
    (docs/decisions/011). `split` is train, evaluate or later: rows of later dates are for the final
    fit alone. `late_activity` counts activity that was recorded after its as_of; it is neither in
    the features nor in the labels.
    """

    frame: Any
    features: tuple[str, ...]
    unused_features: tuple[str, ...]
    late_activity: int
    labels: tuple[str, ...] = ("churned", "outcome_stage")
    group: str = "customer_id"
    time: str = "as_of"
    split: str = "split"


@dataclass(frozen=True)
class Training:
    """A finished training: the id of its release (not served yet), status, evaluation, MLflow runs.

    `status` is ok, no_skill or not_enough_data. A run is None where MLflow could not be reached.
    """

    release: str
    status: str
    evaluation: dict[str, Any]
    mlflow_runs: dict[str, str | None]
    text: str = field(repr=False, default="")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Backtest:
    """A finished backtest: its report, the predictions of all its dates, the folder of plots."""

    report: Report
    predictions: Any
    folder: Path

    def __str__(self) -> str:
        return str(self.report)
