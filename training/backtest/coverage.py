"""How often the next-stage sets and the intervals on p held what came, over the dates of a backtest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from training import metrics


def summary(dates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{"sets": {who: …}, "intervals": …} of the dates' own accounts (`held`); None where no date had them.

    A set's coverage is a date's; intervals are judged on groups of like customers, all dates' groups together.
    """
    told = [(one["as_of"], one["held"]) for one in dates if one.get("held")]
    return {
        "sets": {
            who: _sets([(day, of["sets"][who]) for day, of in told if of["sets"]])
            for who in metrics.POPULATIONS
        },
        "intervals": _intervals([of["evidence"] for _, of in told]),
    }


def _sets(found: list[tuple[str, dict[str, Any]]]) -> dict[str, Any] | None:
    found = [(day, one) for day, one in found if one["rows"]]
    if not found:
        return None
    worst_as_of, worst = min(found, key=lambda pair: (pair[1]["coverage"], pair[0]))
    mean, size, accuracy = (
        float(np.mean([one[name] for _, one in found])) for name in ("coverage", "size", "accuracy")
    )
    return {
        "dates": len(found),
        "mean": mean,
        "worst": worst["coverage"],
        "worst_as_of": worst_as_of,
        "size": size,
        "accuracy": accuracy,
    }


def _intervals(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    found = [one for one in found if one["groups"]]
    if not found:
        return None
    groups = [one["groups"] for one in found]
    shares = {
        name: float(np.average([one[name] for one in found], weights=groups))
        for name in ("inside", "inside_with_sampling")
    }
    return {"dates": len(found), "groups": sum(groups), "level": found[-1]["level"], **shares}


def lines(held: dict[str, Any], who: str) -> Iterator[str]:
    """What the account says of the sets of one population."""
    if found := held["sets"][who]:
        yield (
            f"    sets of next stages   held {found['mean']:.1%} of what came on average, {found['worst']:.1%} at worst "
            f"({found['worst_as_of']}), with {found['size']:.2f} stages; the likeliest alone {found['accuracy']:.1%}"
        )


def interval_lines(held: dict[str, Any]) -> Iterator[str]:
    """What it says of the intervals on p."""
    if found := held["intervals"]:
        yield ""
        yield (
            f"  intervals on p held the rate of {found['inside']:.0%} of {found['groups']} groups of like customers at "
            f"{found['dates']} dates, {found['inside_with_sampling']:.0%} allowing for sampling (wanted {found['level']:.0%})"
        )


def tracked(held: dict[str, Any]) -> dict[str, float]:
    """For the tracking store: `<population>_sets_held_<mean, worst>`, `intervals_held`, as far as there are any."""
    sets = {
        f"{who}_sets_held_{name}": found[name]
        for who, found in held["sets"].items()
        if found
        for name in ("mean", "worst")
    }
    return sets | ({"intervals_held": held["intervals"]["inside"]} if held["intervals"] else {})
