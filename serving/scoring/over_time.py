"""What a release says of time, as columns of scores: the curve, and lifetime value."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from features.recipes.definitions import Definitions
from serving.scoring.curve import Curve
from serving.scoring.curve_columns import answer_curve, curve_columns, curve_warnings
from serving.scoring.lifetime_value import LifetimeValue
from serving.scoring.value_columns import VALUE_COLUMNS, answer_value, value_warnings


def time_columns(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the curve and of lifetime value, in order."""
    return (*curve_columns(config), *VALUE_COLUMNS)


@dataclass(frozen=True)
class OverTime:
    """The curve and the value of a release; each None where it was not fitted."""

    curve: Curve | None
    value: LifetimeValue | None

    def answers(
        self,
        rows: pa.Table,
        p: np.ndarray,
        config: Mapping[str, Any],
        definitions: Definitions,
        missing: Collection[str] = (),
    ) -> dict[str, np.ndarray]:
        """Each of `time_columns`, float64 (rows,); NaN where there is no answer.

        `rows`: feature rows; p: their P(churn). `missing`: tables that are stale or were not sent.
        """
        within = self.curve.event_within(rows, p) if self.curve else None
        answers = answer_curve(self.curve, rows, p, config, within=within)
        return answers | answer_value(self.value, within, rows, p, definitions, missing)

    def warnings(
        self, rows: pa.Table, answers: dict[str, np.ndarray], config: Mapping[str, Any]
    ) -> list[list[str]]:
        """Of each row what the curve and the value warn of."""
        ends = curve_warnings(self.curve, rows, config)
        of_value = value_warnings(self.value, rows, answers)
        return [
            [*([end] if end else []), *marks] for end, marks in zip(ends, of_value, strict=True)
        ]
