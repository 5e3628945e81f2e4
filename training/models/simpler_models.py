"""Models simpler than the blend: a ridge over one column or four. Where the ladder recommends one, this makes it.

Its columns are the modelled ones nearest in meaning to the ladder's (tenure and cohorts follow `[stages] acquired`), so
that a release holds it and the service scores with it.
"""

from __future__ import annotations

import numpy as np

from features.core.errors import BadSetting

BLEND = "blend"
COLUMNS = {
    "recency": ("recency",),
    "RFM logistic": ("recency", "active_days_all", "tenure", "amount_all"),
}
STRENGTH = 1.0  # hardly drawn at all, as the ladder's


def columns_of(model: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the modelled columns the model looks at; BadSetting where recency is not among them."""
    if "recency" not in columns:
        raise BadSetting(
            where="[training] churn_model",
            got=f"{model}, and no column recency among the modelled ones",
            rule=f"{model} is made of {', '.join(COLUMNS[model])}, as far as they are there.",
            fix="Switch the recency features on, or take churn_model out.",
        )
    return tuple(name for name in COLUMNS[model] if name in columns)


def only(matrix: np.ndarray, names: tuple[str, ...], wanted: tuple[str, ...]) -> np.ndarray:
    """The design matrix with every other column made 0: what never varies gets no weight."""
    return np.where(np.isin(names, wanted), matrix, 0.0)
