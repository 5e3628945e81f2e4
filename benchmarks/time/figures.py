"""The figures of all dates, each with its goal, and the table that a person reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.time.judge import JudgedDate

MOST_RATIO, MOST_TIME = 1.005, 1.6
OURS = "ours"


def figures(
    dates: Sequence[JudgedDate], seconds: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    """{name: {value, wanted, holds, …}}. `seconds`: by set, of `training_seconds`."""
    ratios = horizon_ratios(dates)
    worst = max(ratios.values(), default=None)
    out = {"log_loss_of_the_classifier": _figure(worst, MOST_RATIO, by_horizon=_named(ratios))}
    for name, mine in _by_data(dates).items():
        for group in dict.fromkeys(group for date in mine for group in date.brier):
            pairs = brier_ratios(mine, group)
            value = max(pairs.values(), default=None)
            key = f"brier_{name}" + ("" if group == "everyone" else f"_{group}")
            out[key] = _figure(value, 1.0, strict=True, by_baseline=_rounded(pairs))
    shares = {
        name: each["whole"] / (each["whole"] - each["curve"]) for name, each in seconds.items()
    }
    worst = max(shares.values(), default=None)
    out["training_time"] = _figure(worst, MOST_TIME, by_set=_rounded(shares))
    for name, mine in _by_data(dates).items():
        errors = [each for date in mine for each in date.ece_gone.values() if each is not None]
        out[f"ece_return_{name}"] = _figure(float(np.mean(errors)) if errors else None, None)
    return out


def horizon_ratios(dates: Sequence[JudgedDate]) -> dict[int, float]:
    """By days: the curve's log loss summed over dates, sets and groups, over the classifiers'."""
    sums: dict[int, np.ndarray] = {}
    for date in dates:
        for (_, days), each in date.losses.items():
            pair = np.array([each["curve"], each["classifier"]])
            # A classifier with too few rows to be fitted is compared with nowhere.
            if not np.isnan(pair).any():
                sums[days] = sums.get(days, np.zeros(2)) + pair
    return {days: float(curve / other) for days, (curve, other) in sorted(sums.items())}


def brier_ratios(dates: Sequence[JudgedDate], group: str) -> dict[str, float]:
    """Our integrated Brier score over each baseline's, summed over the dates that have both."""
    known = [date.brier[group] for date in dates if group in date.brier]
    names = dict.fromkeys(name for each in known for name in each if name != OURS)
    ratios = {}
    for name in names:
        both = [
            (each[OURS], each[name])
            for each in known
            if each[OURS] is not None and each.get(name) is not None
        ]
        if both:
            ours, theirs = np.sum(both, axis=0)
            ratios[name] = float(ours / theirs)
    return ratios


def report_text(dates: Sequence[JudgedDate]) -> str:
    """A line for each date, group and horizon, then each set's ratios by horizon."""
    lines = [f"{'log loss':28}{'group':>10}{'days':>6}{'rows':>8}{'events':>8}  curve, others"]
    for date in dates:
        lines += _date_lines(date)
    lines.append("curve / classifier, by set and horizon")
    for name, mine in _by_data(dates).items():
        for group in dict.fromkeys(group for date in mine for group, _ in date.losses):
            ratios = horizon_ratios([_only(date, group) for date in mine])
            shown = ", ".join(f"{days}d {ratio:.4f}" for days, ratio in ratios.items())
            lines.append(f"  {name + ', ' + group:28}{shown}")
    return "\n".join(lines)


def _date_lines(date: JudgedDate) -> Iterator[str]:
    counts = ("rows", "events")
    for (group, days), each in date.losses.items():
        rows, events = (int(each[name]) for name in counts)
        losses = ", ".join(f"{k} {v:.4f}" for k, v in each.items() if k not in counts)
        yield f"{date.name:28}{group:>10}{days:>6}{rows:>8}{events:>8}  {losses}"


def _only(date: JudgedDate, group: str) -> JudgedDate:
    losses = {key: each for key, each in date.losses.items() if key[0] == group}
    return JudgedDate(date.data, date.name, losses, date.brier, date.ece_gone)


def _by_data(dates: Sequence[JudgedDate]) -> dict[str, list[JudgedDate]]:
    out: dict[str, list[JudgedDate]] = {}
    for date in dates:
        out.setdefault(date.data, []).append(date)
    return out


def _figure(
    value: float | None, wanted: float | None, *, strict: bool = False, **more: Any
) -> dict[str, Any]:
    """`holds` is None without a goal or a value. `strict`: below the goal, not at it."""
    below: Callable[[float, float], bool] = float.__lt__ if strict else float.__le__
    holds = None if value is None or wanted is None else below(float(value), float(wanted))
    shown = None if value is None else round(value, 4)
    return {"value": shown, "wanted": wanted, "holds": holds, **more}


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _named(ratios: Mapping[int, float]) -> dict[str, float]:
    return {f"{days}d": round(ratio, 4) for days, ratio in ratios.items()}
