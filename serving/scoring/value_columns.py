"""Lifetime value as columns of scores, and the warnings about it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa

from features.recipes.definitions import Definitions
from serving.scoring.lifetime_value import LifetimeValue

VALUE_COLUMNS = ("clv", "clv_low", "clv_high", "clv_if_stays")
NOT_KNOWN = "clv_not_known"
EXTRAPOLATED = "clv_extrapolated:"  # and the days that the history has shown
UNSEEN_SEASON = "clv_unseen_season"


def money_table(*, contractual: bool) -> str:
    """The table that money is read from."""
    return "contracts" if contractual else "transactions"


def answer_value(
    value: LifetimeValue | None,
    within: np.ndarray | None,
    rows: pa.Table,
    p: np.ndarray,
    definitions: Definitions,
    missing: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Each of VALUE_COLUMNS, float64 (rows,); NaN where there is no answer.

    within: of the curve, (rows, horizons), None without one. `rows`: feature rows; p: their
    P(churn), NaN where scores are refused; missing: the tables that are stale or were not sent.
    """
    nothing = {name: np.full(len(p), np.nan) for name in VALUE_COLUMNS}
    if value is None or within is None or np.isnan(p).any():
        return nothing
    if money_table(contractual=definitions.contractual) in missing:
        return nothing
    return value.answers(rows, p, within, definitions)


def value_warnings(
    value: LifetimeValue | None, rows: pa.Table, answers: Mapping[str, np.ndarray]
) -> list[list[str]]:
    """What each row's value warns of: none, beyond what the history has shown, an unseen season."""
    known = ~np.isnan(answers["clv"])
    if value is None:
        return [[NOT_KNOWN]] * len(known)
    terms, instants = value.terms, rows["as_of"].to_numpy()
    marks = [f"{EXTRAPOLATED}{terms.learned_days}d"] if terms.extrapolated else []
    of_instant = {
        int(at): marks + ([UNSEEN_SEASON] if terms.has_unseen_season(int(at)) else [])
        for at in np.unique(instants)
    }
    return [
        of_instant[at] if each else [NOT_KNOWN]
        for at, each in zip(instants.tolist(), known, strict=True)
    ]
