"""The curve as columns of scores, and which horizons have no answer yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from features.core.config_schema import curve_horizons
from serving.scoring.curve import Curve, has_cover
from serving.scoring.curve_inputs import GONE

EXPECTED = "expected_next_days"
CANCELS = "p_cancelled"
# The warning of every row where the history is too short for the longer horizons.
ENDS_AT = "curve_ends_at:"


def curve_columns(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of the curve, in order, for the configuration of a release.

    `p_active_<h>d`: activity within h days; with contracts `p_lost_<h>d`: cover lost within h days.
    `p_return_<h>d`: the same activity (with contracts: cover again) for who is gone. With contracts
    `p_cancelled`: cover lost within the horizon of churn, and cancelled.
    """
    horizons = config_horizons(config)
    contractual = config["business"]["archetype"] == "contractual"
    event = "p_lost" if contractual else "p_active"
    names = [f"{name}_{days}d" for name in (event, "p_return") for days in horizons]
    return (*names, EXPECTED, *([CANCELS] if contractual else []))


def config_horizons(config: Mapping[str, Any]) -> tuple[int, ...]:
    """The days of the curve, ascending, of the configuration of a release."""
    return curve_horizons(config["time"]["horizons_days"], config["churn"]["horizon_days"])


def answer_curve(
    curve: Curve | None,
    rows: pa.Table,
    p: np.ndarray,
    config: Mapping[str, Any],
    *,
    within: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Each column of `curve_columns`, float64 (rows,); NaN where there is no answer.

    `rows`: feature rows; p: their P(churn), NaN where scores are refused. within: what
    `Curve.event_within` gives for them, where it is there already. `p_active` and `p_return`
    of one row are one number; with contracts a row has either `p_lost` or `p_return`.
    """
    names = curve_columns(config)
    if curve is None:
        return {name: np.full(len(p), np.nan) for name in names}
    if within is None:
        within = curve.event_within(rows, p)
    if curve.covered is None:
        first = np.ones(len(p), dtype=bool)
        gone = np.isin(rows["stage"].to_numpy(), GONE)
    else:
        first = has_cover(rows)
        gone = ~first
    blocks = [np.where(mask[:, None], within, np.nan) for mask in (first, gone)]
    further = [curve.expected_days(within)]
    if curve.covered is not None:
        further.append(curve.cancels(rows, p))
    values = np.column_stack([*blocks, *further])
    return dict(zip(names, values.T, strict=True))


def curve_warnings(
    curve: Curve | None, rows: pa.Table, config: Mapping[str, Any]
) -> list[str | None]:
    """`curve_ends_at:<h>d` of each row whose horizons after h have no answer; 0d for none."""
    if curve is None:
        return [f"{ENDS_AT}0d"] * rows.num_rows
    marks = [_mark(curve.known_horizons(group), config) for group in curve.groups]
    if curve.covered is None:
        return marks * rows.num_rows
    return [marks[1] if covered else marks[0] for covered in has_cover(rows)]


def _mark(known: Sequence[int], config: Mapping[str, Any]) -> str | None:
    if len(known) == len(config_horizons(config)):
        return None
    return f"{ENDS_AT}{known[-1] if known else 0}d"
