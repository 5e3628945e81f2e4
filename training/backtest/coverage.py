"""How often the next-stage sets and the intervals on p contained the outcome, over all dates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from training import metrics
from training.formats import percent

Report = Mapping[str, Any]


def summarise_coverage(dates: Sequence[Report]) -> dict[str, Any]:
    """{"sets": {who: …}, "intervals": …} of the dates' `coverage`; None where no date has them.

    The coverage of a set is per date; intervals are judged on customer groups, those of all dates
    together.
    """
    known = [(date["as_of"], date["coverage"]) for date in dates if date.get("coverage")]
    return {
        "sets": {
            who: _sets([(day, report["sets"][who]) for day, report in known if report["sets"]])
            for who in metrics.POPULATIONS
        },
        "intervals": _intervals([report["evidence"] for _, report in known]),
    }


def _sets(by_date: list[tuple[str, Report]]) -> dict[str, Any] | None:
    by_date = [(day, report) for day, report in by_date if report["rows"]]
    if not by_date:
        return None
    worst_as_of, worst = min(by_date, key=lambda pair: (pair[1]["coverage"], pair[0]))
    mean, size, accuracy = (
        float(np.mean([report[name] for _, report in by_date]))
        for name in ("coverage", "mean_size", "accuracy")
    )
    return {
        "dates": len(by_date),
        "mean": mean,
        "worst": worst["coverage"],
        "worst_as_of": worst_as_of,
        "mean_size": size,
        "accuracy": accuracy,
    }


def _intervals(reports: list[Report]) -> dict[str, Any] | None:
    reports = [report for report in reports if report["groups"]]
    if not reports:
        return None
    groups = [report["groups"] for report in reports]
    shares = {
        name: float(np.average([report[name] for report in reports], weights=groups))
        for name in ("coverage", "coverage_with_sampling")
    }
    level = reports[-1]["level"]
    return {"dates": len(reports), "groups": sum(groups), "level": level, **shares}


def set_lines(coverage: Report, who: str) -> Iterator[str]:
    """The sets of one population as text."""
    if sets := coverage["sets"][who]:
        yield (
            f"    next-stage sets       coverage {percent(sets['mean'])} on average, "
            f"{percent(sets['worst'])} at worst ({sets['worst_as_of']}), mean size "
            f"{sets['mean_size']:.2f}; top-1 accuracy {percent(sets['accuracy'])}"
        )


def interval_lines(coverage: Report) -> Iterator[str]:
    """The intervals on p as text."""
    if intervals := coverage["intervals"]:
        groups = intervals["groups"]
        inside, with_sampling = (
            round(intervals[name] * groups) for name in ("coverage", "coverage_with_sampling")
        )
        yield ""
        yield (
            f"  the interval on p contains the observed rate in {inside} of {groups} customer "
            f"groups at {intervals['dates']} dates, with sampling error in {with_sampling} "
            f"(target {percent(intervals['level'], 0)})"
        )


def coverage_metrics(coverage: Report) -> dict[str, float]:
    """For MLflow: `<population>_sets_coverage_<mean, worst>` and `intervals_coverage`."""
    figures = {
        f"{who}_sets_coverage_{name}": sets[name]
        for who, sets in coverage["sets"].items()
        if sets
        for name in ("mean", "worst")
    }
    if coverage["intervals"]:
        figures["intervals_coverage"] = coverage["intervals"]["coverage"]
    return figures
