"""Models simpler than the blend: a ridge over one column or over four.

Where the baseline comparison recommends one, a release can hold it and the service scores with it.
Its columns are those among the modelled ones that come nearest to the baseline's. (The baseline's
tenure runs from the first activity, the column's from `[stages] acquired`.)
"""

from __future__ import annotations

import numpy as np

from features.core.errors import BadSetting

BLEND = "blend"
COLUMNS = {
    "recency": ("recency",),
    "RFM logistic": ("recency", "active_days_all", "tenure", "amount_all"),
}
STRENGTH = 1.0  # almost no shrinkage, as in the baseline


def columns_of(model: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the modelled `columns` that the model uses; BadSetting without `recency`."""
    if "recency" not in columns:
        raise BadSetting(
            where="[training] churn_model",
            got=f"{model}, and no column recency among the {len(columns)} modelled columns",
            rule=f"{model} uses {', '.join(COLUMNS[model])}, as far as they exist.",
            fix="Switch the recency features on, or remove churn_model under [training].",
        )
    return tuple(name for name in COLUMNS[model] if name in columns)


def keep_columns(matrix: np.ndarray, names: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """The design matrix (rows, names) with every column outside `wanted` set to 0.

    A column that never varies gets no weight, so the shape can stay that of the full model.
    """
    return np.where(np.isin(names, wanted), matrix, 0.0)
