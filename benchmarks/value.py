"""How good lifetime value is: `python -m benchmarks.value [--sets SET …] [--customers N] [--json]`.

Money within 90 days (the simulations: 60), 180 and 365 at dates whose money is known by now, of a
model that knows what was known then: p of the product's churn model, the curve, the value. Beside
it stand what a customer has paid so far and BG/NBD × Gamma–Gamma (with contracts: price × days).
And the purchase model itself on the sample of CDNOW, 39 weeks to learn and 39 to judge (Fader,
Hardie & Lee 2005, table 2). Fits are stored under `.benchmarks/models`. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
from pyarrow import csv

from benchmarks.models.sets import CUSTOMERS, DATES, EARLIER, SIMULATED, Case
from benchmarks.time import fits
from features.core.errors import NotEnoughData
from features.core.progress import print_status, set_quiet
from features.core.settings import data_folder
from features.labels.later_money import money_known_before, money_matrix
from features.recipes import btyd
from features.recipes.population_stats import population_stats
from training.curve import curve_of
from training.evaluation.value import PAST, evaluate_value
from training.reports.value_text import best_other
from training.value import value_of

PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
BEGIN, WEEKS = date(1997, 1, 1), 39  # of the sample, and of either half
LEAST_DECILES, LEAST_COVERAGE, MOST_COVERAGE = 7.5, 0.88, 0.93


@dataclass(frozen=True)
class Judged:
    """The figures of one date at one horizon."""

    data: str
    day: date
    days: int
    figures: dict[str, Any]


def main() -> None:
    arguments = _parser().parse_args()
    set_quiet(False)  # progress on standard error
    judged: list[Judged] = []
    for name in arguments.sets:
        if name not in SIMULATED and not (data_folder() / name).is_dir():
            raise SystemExit(f"{name} wanted under LIFECYCLE_DATA; docs/data.md lists its origin")
        for day in sorted({*DATES[name], *EARLIER[name]}):
            judged += _judge(Case(name, day, arguments.customers))
    sample = _purchase_model()
    if not arguments.json:
        print("\n".join(_lines(judged)), flush=True)
    print(json.dumps(_figures(judged, sample)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.value", description=__doc__)
    parser.add_argument("--sets", nargs="+", choices=list(DATES), default=list(DATES))
    parser.add_argument(
        "--customers", type=int, default=CUSTOMERS, help="of the simulated businesses"
    )
    parser.add_argument("--json", action="store_true", help="the last line alone")
    return parser


def _judge(case: Case) -> Iterator[Judged]:
    """Every horizon whose money is known by now; nothing where no model could be trained then."""
    print_status(f"value: {case.name}")
    try:
        p = fits.churn_answer(case)[0]
    except NotEnoughData:
        print_status(f"value: {case.name}: not enough data to train on then")
        return
    settings, horizons = case.settings, case.settings.money_horizons
    definitions, at = case.examples.definitions, case.plan.evaluate[0]
    events = fits.known_events(case)
    curve = curve_of(case.early, p["p_train"], events, settings, case.examples.modelled)
    newest = population_stats(case.history.as_of(max(case.plan.train)), definitions)
    examples = replace(case.examples, population_stats=(newest,))
    money = money_known_before(
        money_matrix(case.early, horizons),
        case.early["as_of"].to_numpy(),
        horizons,
        latency_days=settings.churn.label_latency_days,
        at=at,
    )
    report = evaluate_value(
        lambda days: value_of(
            days, case.early, p["p_train"], curve, examples, settings, money=money
        ),
        curve,
        case.late,
        p["p_test"],
        definitions,
        horizons,
    )
    for days, figures in report.items():
        yield Judged(case.data, case.day, int(days.removesuffix("d")), figures)


def _purchase_model() -> dict[str, float]:
    """BG/NBD on the sample of CDNOW, in weeks: parameters, and errors in the next 39 weeks."""
    rows = csv.read_csv(data_folder() / "cdnow" / "cdnow_sample.csv")
    day = np.array(
        [date(d // 10000, d // 100 % 100, d % 100).toordinal() for d in rows["date"].to_pylist()]
    )
    _, customer = np.unique(rows["sample_id"].to_numpy(), return_inverse=True)
    pairs = np.unique(np.column_stack([customer, day]), axis=0)
    cut = BEGIN.toordinal() + 7 * WEEKS  # the first day to judge
    early, late = pairs[pairs[:, 1] < cut], pairs[pairs[:, 1] >= cut]
    late = late[late[:, 1] < cut + 7 * WEEKS]
    count = int(customer.max()) + 1
    first, last = np.full(count, 10**7), np.zeros(count)
    np.minimum.at(first, early[:, 0], early[:, 1])
    np.maximum.at(last, early[:, 0], early[:, 1])
    known: dict[str, Any] = {
        "repeats": np.bincount(early[:, 0], minlength=count) - 1.0,
        "last": (last - first) / 7,
        "age": (cut - 1 - first) / 7,
    }
    model = btyd.fit(**known)
    expected = btyd.expected_activity(model, **known, horizon=float(WEEKS))
    came = np.bincount(late[:, 0], minlength=count)
    error = expected - came
    return {
        **{name: float(getattr(model, name)) for name in PUBLISHED},
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "total": float(expected.sum() / came.sum()),
    }


def _lines(judged: list[Judged]) -> Iterator[str]:
    """Each date and horizon: money, rank beside the baselines, deciles, interval."""
    yield (
        "  set, date, days             rows   came  expected   rank  top tenth  deciles  interval  "
        "likely   rank less the best other (95 % CI)"
    )
    for one in judged:
        each = one.figures
        name = best_other(each)
        pair = each["less_baseline"][name] if name else None
        other = f"{pair['difference']:+.4f} ({pair['low']:+.4f} … {pair['high']:+.4f}) {name}"
        likely = each["coverage_likely"]
        yield (
            f"  {one.data:<16} {one.day} {one.days:>4} {each['rows']:>6} {each['mean']:>8.2f} "
            f"{each['expected']:>8.2f} {each['rank']:>6.3f} {each['top_share']:>8.3f} "
            f"{each['deciles']:>6} {each['coverage']:>10.3f} {likely or np.nan:>9.3f}   {other}"
            f"{'  extrapolated' if each['extrapolated'] else ''}"
        )


def _figures(judged: list[Judged], sample: dict[str, float]) -> dict[str, Any]:
    """{figure: {value, wanted, holds}} of what was asked."""
    figures: dict[str, Any] = {}
    for name, published in PUBLISHED.items():
        figures[f"cdnow_{name}"] = _figure(sample[name], published, round(sample[name], 3))
    figures["cdnow_mae"] = _at_most(sample["mae"], 0.79)
    figures["cdnow_rmse"] = _at_most(sample["rmse"], 1.61)
    total = sample["total"]
    figures["cdnow_total"] = _entry(total, "0.85 … 1.15", abs(total - 1) <= 0.15)
    for data in dict.fromkeys(one.data for one in judged):
        for days in sorted({one.days for one in judged if one.data == data}):
            part = [one.figures for one in judged if (one.data, one.days) == (data, days)]
            figures |= _of_horizon(f"{data}_{days}d", part)
    return figures


def _of_horizon(name: str, part: list[dict[str, Any]]) -> dict[str, Any]:
    """Rank and top share beside each baseline, deciles and coverage, as means over dates."""
    figures: dict[str, Any] = {}
    others = part[0]["less_baseline"]
    for other in others:
        pairs = [each["less_baseline"][other] for each in part]
        high = float(np.mean([pair["high"] for pair in pairs]))
        key = f"{name}_rank_less_{'past' if other == PAST else 'purchases'}"
        value = float(np.mean([pair["difference"] for pair in pairs]))
        figures[key] = _entry(value, "interval reaches 0", high >= 0)
        top = float(
            np.mean([each["top_share"] - each["baselines"][other]["top_share"] for each in part])
        )
        figures[key.replace("rank", "top")] = _entry(top, ">= -0.005", top >= -0.005)
    deciles = float(np.mean([each["deciles"] for each in part]))
    figures[f"{name}_deciles"] = _entry(deciles, f">= {LEAST_DECILES}", deciles >= LEAST_DECILES)
    inside = float(np.mean([each["coverage"] for each in part]))
    wanted = f"{LEAST_COVERAGE} … {MOST_COVERAGE}"
    figures[f"{name}_coverage"] = _entry(inside, wanted, LEAST_COVERAGE <= inside <= MOST_COVERAGE)
    figures[f"{name}_dates"] = _entry(float(len(part)), ">= 3", len(part) >= 3)
    return figures


def _figure(value: float, wanted: float, rounded: float) -> dict[str, Any]:
    return _entry(value, wanted, rounded == wanted)


def _at_most(value: float, wanted: float) -> dict[str, Any]:
    return _entry(value, f"<= {wanted}", value <= wanted)


def _entry(value: float, wanted: object, holds: bool) -> dict[str, Any]:
    return {"value": round(value, 4), "wanted": wanted, "holds": bool(holds)}


if __name__ == "__main__":
    main()
