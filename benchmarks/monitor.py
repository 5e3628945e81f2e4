"""False alarms of `lifecycle monitor` in calm months, and six drifts.

Type `python -m benchmarks.monitor`.

Worlds. A simulated shop (`lifecycle.simulation`, retail, 6,000 customers, 1,430 days) for each
seed. Nine training dates lie 30 days apart; from 63 days after the newest on, six months are
scored. Nothing changes in the mechanism, but the customers grow older and fewer of them are
eligible, as in the demo. p comes from one release, trained on 3,000 customers of another seed.

Draws. Of each world 3,000 customers (and 300) are drawn without replacement, many times: each draw
has its own reference, and its six months are judged against it. So months of one draw share a
reference, and draws of one world share half of their customers; the interval of the rate takes
draws, not months, as independent.

Drifts. The rows of a world are changed from the first scored instant on, and runs 30 and 60 days
later are judged: the quantity of interactions times 60 (minutes that became seconds); a fifth of
purchases and interactions in a new channel; half of the visits missing; amounts times 1.2; each
customer stays away for good with a daily probability of .0085, which raises the rate of leavers in
the horizon by half (a figure says by how much); the delay of late rows twice as long.

`--choose` uses the seed by which bins, strata and bounds were chosen; without it the seeds of the
report. `--json`: nothing but the last line, a JSON object of figures.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US, instant
from features.core.progress import set_quiet
from features.core.settings import Settings, load_settings
from features.engine.build import build
from features.engine.columns import FeatureColumn
from features.labels.outcomes import observe_outcomes
from features.recipes.population_stats import population_stats
from features.tables.history import load_history
from lifecycle import simulation
from serving.batch.known_rows import sort_known_table
from serving.release.release import load_release
from serving.scoring.scorer import Scorer
from training.drift.bins import eligible_rows
from training.drift.fit_reference import SCORE, fit_reference
from training.job import TrainingRun
from training.models.remembered_fits import remember_fits
from training.monitor.distributions import judge_distributions
from training.monitor.kinds import CANNOT_TELL, MOVED, KindResult
from training.monitor.realised import judge_rate
from training.monitor.windows import judge_feeds, judge_preferences, judge_values
from training.parallel import reproducible_fits

CHOOSE_SEEDS, REPORT_SEEDS, TRAIN_SEED = (11,), (101, 102), 7
POOL, DRAWN, FEW, DAYS, FIRST_SCORED, DATES, MONTHS = 6_000, 3_000, 300, 1_430, 1_278, 9, 6
DRAWS, DRIFT_DRAWS = 42, 20  # of each world: 42 × 6 months × 2 worlds = 504 months
KINDS = ("features", "scores", "stages", "newcomers", "preferences", "values", "feeds", "outcomes")
RATE, MOST_RATE, LEAST_DETECTION = 0.01, 0.02, 0.8
START_US = instant("2022-01-01", zone="UTC")
Rows = pa.Table
Change = Callable[[dict[str, Rows], np.random.Generator], dict[str, Rows]]


@dataclass(frozen=True)
class Model:
    """What one release gives: its scorer, and the columns that are built and modelled."""

    scorer: Scorer
    columns: tuple[FeatureColumn, ...]
    modelled: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """Eligible rows with p and outcome by instant, and the tables as known at the newest.

    What is counted of them is cut at the instant that is judged, by both clocks.
    """

    rows: Mapping[int, Rows]
    tables: Mapping[str, Rows]

    def draw(self, rng: np.random.Generator, count: int) -> World:
        """The world of `count` of its customers."""
        chosen = rng.choice(POOL, count, replace=False) + 1
        ids = pa.array([f"{number:06d}" for number in sorted(chosen.tolist())])

        def take(rows: Rows) -> Rows:
            return rows.filter(pc.is_in(rows["customer_id"], value_set=ids))

        return World(
            {at: take(rows) for at, rows in self.rows.items()},
            {name: take(table) for name, table in self.tables.items()},
        )


def day(number: int) -> int:
    """The instant (µs) of a day of the simulation."""
    return START_US + number * DAY_US


TRAINED = [day(FIRST_SCORED - 63 - 30 * k) for k in reversed(range(DATES))]
SCORED = [day(FIRST_SCORED + 30 * k) for k in range(MONTHS)]


def train_model(folder: Path) -> Model:
    """One training on 3,000 customers of another seed, its search cut short."""
    simulation.write(simulation.simulate(customers=DRAWN, seed=TRAIN_SEED), folder=folder)
    settings = load_settings(folder / "lifecycle.toml")
    history, _ = load_history(settings)
    with reproducible_fits(), remember_fits():
        run = TrainingRun(history, settings)
        return Model(run.final_scorer, run.examples.columns, run.examples.modelled)


def read_model(folder: Path) -> Model:
    """The model of a release that is there already, such as that of `lifecycle demo`."""
    release = load_release(folder)
    return Model(release.scorer, tuple(release.columns), release.scorer.columns)


def make_world(
    tables: dict[str, Rows],
    template: simulation.Simulation,
    model: Model,
    at: list[int],
    folder: Path,
) -> World:
    """The rows and tables of one business at the instants `at`, by the real builder."""
    simulation.write(replace(template, tables=tables), folder=folder)
    settings = load_settings(folder / "lifecycle.toml")
    history, _ = load_history(settings)
    definitions, rows = model.scorer.definitions, {}
    for when in at:
        known = history.as_of(when)
        population = population_stats(known, definitions)
        built = build(
            known, population=population, definitions=definitions, columns=list(model.columns)
        )
        built = built.append_column(SCORE, pa.array(model.scorer.p_churn(built)))
        built = _with_outcomes(built, history, known, model, settings)
        rows[when] = eligible_rows(built)
    newest = history.as_of(max(at))
    return World(rows, {name: _recent(sort_known_table(newest, name)) for name in newest.tables})


def _recent(rows: Rows) -> Rows:
    """The rows of the months that are compared, and some days before them."""
    if "occurred_at" not in rows.column_names:
        return rows
    return rows.filter(pc.greater_equal(rows["occurred_at"], TRAINED[0] - 40 * DAY_US))


def stored(folder: Path | None, name: str, make: Callable[[], World]) -> World:
    """A world from `folder`, made and written there where it is not there yet."""
    if folder is None:
        return make()
    file = folder / f"{name}.pickle"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(make()))
    return pickle.loads(file.read_bytes())


def _with_outcomes(built: Rows, history: Any, known: Any, model: Model, settings: Settings) -> Rows:
    """`churned`, false where the outcomes are not complete: nobody looks there."""
    churned = np.zeros(built.num_rows, bool)
    if known.instant + settings.outcome_window_us <= history.data_until:
        outcomes = observe_outcomes(
            history, known, definitions=model.scorer.definitions, settings=settings
        )
        churned = outcomes.rows["churned"].to_numpy(zero_copy_only=False).astype(bool)
    return built.append_column("churned", pa.array(churned))


def judge_month(now: World, at: int, reference: Any) -> dict[str, KindResult | str]:
    """The verdict of each kind of one run at `at`."""
    rows = now.rows[at]
    results: dict[str, Any] = {**judge_distributions(rows, reference, as_of=at)}
    results["preferences"] = judge_preferences(now.tables, reference.dates, at)
    results["values"] = judge_values(now.tables, reference.dates, at)
    results["feeds"] = judge_feeds(now.tables, reference.dates, at)
    return results


def reference_of(past: World, model: Model) -> Any:
    """The reference of the training dates of a world."""
    rows = pa.concat_tables([past.rows[at] for at in TRAINED])
    p = rows[SCORE].to_numpy()
    return fit_reference(rows.drop_columns([SCORE]), p, model.modelled)


def judge_outcomes(now: World, at: int, reference: Any) -> str:
    """The verdict on the run of `at`, once its outcomes are complete."""
    rows = now.rows[at]
    left = rows["churned"].to_numpy(zero_copy_only=False).astype(bool)
    return str(judge_rate(left, rows[SCORE].to_numpy(), reference.outcomes)["verdict"])


# The six drifts, from the first scored instant on -------------------------------------------------


def _late(rows: Rows) -> np.ndarray:
    at = rows["occurred_at"].to_numpy(zero_copy_only=False).astype("datetime64[us]")
    return at.astype(np.int64) >= day(FIRST_SCORED)


def _set(rows: Rows, name: str, values: pa.Array) -> Rows:
    return rows.set_column(rows.column_names.index(name), name, values)


def change_unit(tables: dict[str, Rows], rng: np.random.Generator) -> dict[str, Rows]:
    rows = tables["interactions"]
    times = pc.if_else(pa.array(_late(rows)), 60, 1)
    quantity = pc.multiply(rows["quantity"], times.cast(rows["quantity"].type))
    return tables | {"interactions": _set(rows, "quantity", quantity)}


def add_channel(tables: dict[str, Rows], rng: np.random.Generator) -> dict[str, Rows]:
    changed = dict(tables)
    for name in ("transactions", "interactions"):
        rows = tables[name]
        new = pa.array(_late(rows) & (rng.random(rows.num_rows) < 0.2))
        changed[name] = _set(rows, "channel", pc.if_else(new, "chat", rows["channel"]))
    return changed


def halve_visits(tables: dict[str, Rows], rng: np.random.Generator) -> dict[str, Rows]:
    rows = tables["interactions"]
    visits = pc.equal(rows["kind"], "visit").to_numpy(zero_copy_only=False)
    gone = visits & _late(rows) & (rng.random(rows.num_rows) < 0.5)
    return tables | {"interactions": rows.filter(pa.array(~gone))}


def raise_prices(tables: dict[str, Rows], rng: np.random.Generator) -> dict[str, Rows]:
    rows = tables["transactions"]
    amount = pc.cast(rows["amount"], pa.float64()).to_numpy(zero_copy_only=False)
    raised = np.round(np.where(_late(rows), 1.2, 1.0) * amount, 2)
    kind = rows["amount"].type
    return tables | {"transactions": _set(rows, "amount", pa.array(raised).cast(kind, safe=False))}


def raise_base_rate(tables: dict[str, Rows], rng: np.random.Generator) -> dict[str, Rows]:
    # Chosen so that of 100 who would leave within 60 days 150 do; a figure says what it made.
    daily = 0.0085
    leaves = day(FIRST_SCORED) + rng.exponential(1 / daily, POOL + 1) * DAY_US
    changed = dict(tables)
    for name in ("transactions", "interactions", "feedback"):
        rows = tables[name]
        who = np.array(rows["customer_id"].to_pylist()).astype(int)
        at = rows["occurred_at"].to_numpy(zero_copy_only=False).astype("datetime64[us]")
        changed[name] = rows.filter(pa.array(at.astype(np.int64) < leaves[who]))
    return changed


def double_latency(tables: dict[str, Rows], rng: np.random.Generator) -> dict[str, Rows]:
    rows = tables["transactions"]
    occurred, recorded = (
        rows[name].to_numpy(zero_copy_only=False).astype("datetime64[us]").astype(np.int64)
        for name in ("occurred_at", "recorded_at")
    )
    later = np.where(_late(rows), 2 * recorded - occurred, recorded)
    kind = rows["recorded_at"].type
    return tables | {
        "transactions": _set(
            rows, "recorded_at", pa.array(later.astype("datetime64[us]")).cast(kind)
        )
    }


DRIFTS: dict[str, Change] = {
    "minutes to seconds": change_unit,
    "a new channel": add_channel,
    "half of the visits": halve_visits,
    "prices + 20 %": raise_prices,
    "base rate + 50 %": raise_base_rate,
    "label latency doubled": double_latency,
}


# The figures --------------------------------------------------------------------------------------


def calm_months(world: World, model: Model, *, draws: int, count: int, seed: int) -> list[Any]:
    """Of each draw the months, of each month the verdict by kind."""
    rng, result = np.random.default_rng(seed), []
    for _ in range(draws):
        drawn = world.draw(rng, count)
        reference = reference_of(drawn, model)
        months = []
        for at in SCORED:
            judged = judge_month(drawn, at, reference)
            verdicts = {name: each.verdict for name, each in judged.items()}
            if at + 63 * DAY_US <= day(DAYS):
                verdicts["outcomes"] = judge_outcomes(drawn, at, reference)
            months.append(verdicts)
        result.append(months)
    return result


def drift_runs(
    calm: World, drifted: World, model: Model, *, draws: int, count: int, seed: int
) -> list[dict[str, list[Any]]]:
    """Of each draw the kinds that moved, by run (30 and 60 days in), and those of the outcomes."""
    result = []
    for number in range(draws):
        past = calm.draw(np.random.default_rng([seed, number]), count)
        now = drifted.draw(np.random.default_rng([seed, number]), count)
        reference = reference_of(past, model)
        runs: dict[str, list[Any]] = {}
        for name, at in zip(("first", "second"), SCORED[1:3], strict=True):
            judged = judge_month(now, at, reference)
            runs[name] = [kind for kind, each in judged.items() if each.verdict == MOVED]
            headline = [judged[kind].verdict for kind in ("features", "scores", "stages")]
            runs[f"{name} cannot tell"] = ["yes"] * (CANNOT_TELL in headline)
        moved = judge_outcomes(now, SCORED[0], reference) == MOVED
        runs["outcomes"] = ["outcomes"] * moved
        runs["rates"] = [
            float(np.mean(each.rows[SCORED[0]]["churned"].to_numpy(zero_copy_only=False)))
            for each in (past, now)
        ]
        result.append(runs)
    return result


def _rate(draws: list[Any], kind: str) -> tuple[float, float, int]:
    """(rate, half of its 95 % interval by draws, months)."""
    of_draw = [[month[kind] == MOVED for month in months if kind in month] for months in draws]
    shares = np.array([np.mean(each) for each in of_draw])
    half = 1.96 * float(shares.std(ddof=1)) / len(shares) ** 0.5
    return float(np.mean(np.concatenate(of_draw))), half, sum(map(len, of_draw))


def _figure(value: float, wanted: float, *, holds: bool, **more: Any) -> dict[str, Any]:
    return {"value": round(value, 4), "wanted": wanted, "holds": bool(holds), **more}


def figures(
    calm: list[Any], few: list[Any], drifts: dict[str, list[Any]], few_drifts: dict[str, list[Any]]
) -> dict[str, Any]:
    """Every figure with what is wanted."""
    result = {}
    for kind in KINDS:
        rate, half, months = _rate(calm, kind)
        name = f"false alarms a month, {kind}"
        result[name] = _figure(
            rate,
            RATE,
            holds=rate - half <= RATE and rate <= MOST_RATE,
            plus_minus=round(half, 4),
            months=months,
        )
    months = [month for draw in few for month in draw]
    share = np.mean([CANNOT_TELL in (m["features"], m["scores"], m["stages"]) for m in months])
    result["300 customers, calm: says that it cannot tell"] = _figure(share, 1.0, holds=share == 1)
    alarms = np.mean([any(v == MOVED for v in month.values()) for month in months])
    result["300 customers, calm: false alarms of all kinds together"] = _figure(
        alarms, RATE * len(KINDS), holds=alarms <= RATE * len(KINDS)
    )
    for name, runs in drifts.items():
        shares = {
            "first": np.mean([bool(each["first"]) for each in runs]),
            "within two": np.mean([bool(each["first"] or each["second"]) for each in runs]),
            "outcomes": np.mean([bool(each["outcomes"]) for each in runs]),
        }
        kinds = sorted({kind for each in runs for kind in each["first"] + each["second"]})
        value = float(shares["within two"])
        result[f"{name}: found within two runs"] = _figure(
            value,
            LEAST_DETECTION,
            holds=value >= LEAST_DETECTION,
            first_run=round(float(shares["first"]), 3),
            by_outcomes=round(float(shares["outcomes"]), 3),
            kinds=kinds,
            rate_times=round(
                float(np.mean([each["rates"][1] / each["rates"][0] for each in runs])), 3
            ),
        )
    for name, runs in few_drifts.items():
        share = np.mean([bool(each["second cannot tell"]) for each in runs])
        moved = np.mean([bool(each["first"] or each["second"]) for each in runs])
        result[f"{name}, 300 customers: says that it cannot tell"] = _figure(
            share, 1.0, holds=share == 1, found=round(float(moved), 3)
        )
    return result


def measure(
    seeds: tuple[int, ...],
    *,
    draws: int,
    drift_draws: int,
    report: Any,
    release: Path | None = None,
    worlds: Path | None = None,
) -> dict[str, Any]:
    """All figures of the worlds of these seeds; the drifts are of the first."""
    calm: list[Any] = []
    few: list[Any] = []
    drifts: dict[str, list[Any]] = {}
    few_drifts: dict[str, list[Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        model = read_model(release) if release else train_model(Path(place) / "model")
        report(f"a model after {time.monotonic() - began:.0f} s")
        for seed in seeds:
            began = time.monotonic()
            template = simulation.simulate(customers=POOL, seed=seed, days=DAYS)
            make = partial(make_world, template=template, model=model)
            world = stored(
                worlds,
                str(seed),
                partial(make, template.tables, at=TRAINED + SCORED, folder=Path(place) / str(seed)),
            )
            report(f"world {seed} in {time.monotonic() - began:.0f} s")
            calm += calm_months(world, model, draws=draws, count=DRAWN, seed=seed)
            few += calm_months(world, model, draws=max(draws // 4, 2), count=FEW, seed=seed + 1)
            report(f"calm months of {seed} after {time.monotonic() - began:.0f} s")
            if drifts:
                continue
            for name, change in DRIFTS.items():
                tables = change(dict(template.tables), np.random.default_rng([seed, 5]))
                where = Path(place) / f"{seed} {name}"
                drifted = stored(
                    worlds, where.name, partial(make, tables, at=SCORED[:3], folder=where)
                )
                drifts[name] = drift_runs(
                    world, drifted, model, draws=drift_draws, count=DRAWN, seed=seed
                )
                few_drifts[name] = drift_runs(
                    world, drifted, model, draws=drift_draws, count=FEW, seed=seed
                )
                report(f"{name} after {time.monotonic() - began:.0f} s")
    return figures(calm, few, drifts, few_drifts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--drift-draws", type=int, default=DRIFT_DRAWS)
    parser.add_argument("--release", type=Path, help="score with it, instead of training one")
    parser.add_argument("--worlds", type=Path, help="keep the worlds here for another time")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    set_quiet(True)
    seeds = CHOOSE_SEEDS if arguments.choose else REPORT_SEEDS
    report = (lambda text: None) if arguments.json else (lambda text: print(text, flush=True))
    result = measure(
        seeds,
        draws=arguments.draws,
        drift_draws=arguments.drift_draws,
        report=report,
        release=arguments.release,
        worlds=arguments.worlds,
    )
    for name, each in {} if arguments.json else result.items():
        report(f"{name}: {json.dumps(each)}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
