"""`lifecycle backtest`: rolling dates, each as if it were today, and what happened later beside what was said then.

On each date the data end there, on both clocks: the stage definitions, the search, the validation at the newest
complete window and the refit on all mature dates are those of a `train` on that day. The model's scores of that date,
and of every later one of the walk, are then held against what came. Nothing is shared between dates but the
tables themselves: each release freezes its own definitions, so the rows of one instant differ between two of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.core.errors import LifecycleError, NotEnoughData
from features.core.instants import DAY_US, day_text
from features.core.progress import say
from features.core.settings import Settings
from features.engine.columns import ColumnOf
from features.recipes.stages import STAGES
from features.tables.history import History
from serving.batch import writers as files
from serving.scoring.scorer import Scorer
from training import examples, fitting, job, metrics, plan
from training.backtest import plots as backtest_pictures
from training.backtest import predictions_store as backtest_kept
from training.backtest import report as backtest_account
from training.backtest import text as backtest_text
from training.backtest.predictions_store import Kept
from training.tracking import record, tracking
from training.tracking.pending import Record
from training.uncertainty import out_of_fold

MOST, LEAST = 8, 6


@dataclass(frozen=True)
class Forecast:
    """What a training at `as_of` had left: the released scorer, its columns, and about it (aggregates only)."""

    as_of: int
    scorer: Scorer
    columns: tuple[ColumnOf, ...]
    about: dict[str, Any]


@dataclass(frozen=True)
class Walked:
    """A finished backtest: its folder, its account, and the predictions of all dates under each other.

    `predictions`: customer_id, as_of, eligible, churned, outcome_stage, p_churn, p_next_<stage>; by as_of, customer_id.
    """

    folder: Path
    account: dict[str, Any]
    predictions: pa.Table

    @property
    def text(self) -> str:
        return f"{backtest_text.text(self.account)}\n  pictures  {self.folder}"


def backtest(
    history: History, settings: Settings, *, as_of: Sequence[int] = (), out: Path | None = None
) -> Walked:
    """Walk the dates (default: `dates_of`), draw the account, and record it. Killed and asked again, it goes on.

    `out` gets the predictions of all dates. ImmatureWindow and NotEnoughData where a stated date, or every date, leaves nothing to learn from or to compare.
    """
    began = time.time()
    made = walk(history, settings, as_of=as_of)
    if out is not None:
        files.write(made.predictions, out)
    pictures = backtest_pictures.draw(made.account, made.folder)
    tracking.record(_record(made, settings, pictures, began))
    return made


def walk(history: History, settings: Settings, *, as_of: Sequence[int] = ()) -> Walked:
    """`backtest` without pictures and record."""
    dates = dates_of(history, settings, as_of)
    span = settings.outcome_window_us
    name = backtest_kept.identity(history, settings, dates, until=dates[-1] + span)
    folder = backtest_kept.place(name)
    found = _finished(history, settings, dates, folder)
    account = backtest_account.account(
        found, settings, name=name, warnings=_warnings(dates, found, stated=bool(as_of))
    )
    backtest_kept.write(folder, account)
    return Walked(
        folder,
        account,
        pa.concat_tables([one.predictions for one in found if one.predictions is not None]),
    )


def dates_of(history: History, settings: Settings, stated: Sequence[int] = ()) -> tuple[int, ...]:
    """The stated instants, or the newest MOST of the rolling ones; oldest first. Each could have been trained on."""
    if not stated:
        found = plan.rolling(history, settings, most=MOST)
        if not found:
            raise _nothing(
                "--as-of",
                "no date with a training date before it and a complete window after it",
                settings,
            )
        return found
    instants = tuple(sorted(set(stated)))
    plan.refuse_immature(instants, history, settings, where="--as-of")
    for at in instants:
        if not plan.make_then(history, settings, at).train:
            raise _nothing(
                "--as-of",
                f"{day_text(at, zone=settings.zone)}, before which there is no training date",
                settings,
            )
    return instants


def forecast(history: History, settings: Settings, at: int) -> Forecast:
    """What `train` had left at the instant `at`, and what it had said of itself. NotEnoughData where it had refused."""
    settings = plan.undated(settings)
    dates, made, found, scorer, _ = job.fit_for_evaluation(plan.as_if(history, at), settings)
    late = made.at(dates.evaluate)
    said = backtest_account.figures(late, *scorer.score(late))
    status = "ok" if metrics.has_skill(said["churn"]) else "no_skill"
    about = {
        "as_of": day_text(at, zone=settings.zone),
        "at": at,
        "status": status,
        "train_dates": len(dates.train),
        "train_until": day_text(dates.train[-1], zone=settings.zone),
        "refit_dates": len(dates.refit),
        "features": len(made.modelled),
        "base_gap_days": made.definitions.base_gap_us / DAY_US,
        "multiples": list(made.definitions.multiples),
        "trials": {name: len(part.trials) if part else 0 for name, part in found.items()},
        "validation": {"as_of": day_text(dates.evaluate[-1], zone=settings.zone), **said},
    }
    return Forecast(
        at, fitting.refitted(found, made, dates, settings, status=status), made.columns, about
    )


def rows_of(made: Forecast, history: History, settings: Settings, at: int) -> pa.Table:
    """Everybody at one instant, with what came."""
    return examples.labelled(
        history, settings, at, definitions=made.scorer.definitions, columns=made.columns
    )[0]


def scored(made: Forecast, rows: pa.Table) -> pa.Table:
    """The scores of labelled rows: customer_id, as_of, eligible, LABELS, p_churn, p_next_<stage>."""
    p, p_next = made.scorer.score(rows)
    kept = rows.select(["customer_id", "as_of", "eligible", *examples.LABELS]).append_column(
        "p_churn", pa.array(p)
    )
    for number, stage in enumerate(STAGES):
        kept = kept.append_column(f"p_next_{stage}", pa.array(p_next[:, number]))
    return kept


def _finished(
    history: History, settings: Settings, dates: tuple[int, ...], folder: Path
) -> list[Kept]:
    """Every date, read where it was finished before; what is finished now is kept at once."""
    names = {at: day_text(at, zone=settings.zone).replace(":", "") for at in dates}
    found = {at: kept for at in dates if (kept := backtest_kept.read(folder, names[at]))}
    todo = [at for at in dates if at not in found]
    say(
        f"backtest {folder.name}: {len(dates)} dates, {len(found)} of them finished before; the search for the others takes "
        f"up to {_minutes(len(todo) * settings.training.seconds)}, features and fits come on top"
    )
    began = time.monotonic()
    for number, at in enumerate(todo, 1):
        found[at] = _date(history, settings, at, [later for later in dates if later > at])
        backtest_kept.keep(folder, names[at], found[at])
        spent = time.monotonic() - began
        say(
            f"backtest: {names[at]} is done, {number} of {len(todo)}; "
            f"about {_minutes(spent / number * (len(todo) - number))} left"
        )
    if all(found[at].predictions is None for at in dates):
        raise _nothing("backtest", found[dates[-1]].about["why"], settings)
    return [found[at] for at in dates]


def _date(history: History, settings: Settings, at: int, later: list[int]) -> Kept:
    began = time.monotonic()
    try:
        made = forecast(history, settings, at)
    except NotEnoughData as error:
        return Kept({"as_of": day_text(at, zone=settings.zone), "at": at, "why": error.got})
    rows = rows_of(made, history, settings, at)
    fresh, held = scored(made, rows), out_of_fold.account(made.scorer, rows)
    names = ["customer_id", "as_of", "p_churn"]
    aged = [scored(made, rows_of(made, history, settings, then)).select(names) for then in later]
    aged = pa.concat_tables([fresh.select(names).slice(0, 0), *aged])
    return Kept(
        {**made.about, "held": held, "seconds": round(time.monotonic() - began, 1)}, fresh, aged
    )


def _warnings(dates: tuple[int, ...], found: list[Kept], *, stated: bool) -> list[str]:
    told = [
        f"{one.about['as_of']} is left out: {one.about['why']}"
        for one in found
        if one.predictions is None
    ]
    if len(dates) < LEAST and not stated:
        told.append(
            f"the data allow {len(dates)} date{'s' * (len(dates) > 1)}; under {LEAST} the spread is hardly known: bring "
            "more history, or shorten [churn] horizon_days or [training] step_days"
        )
    return told


def _nothing(where: str, got: str, settings: Settings) -> LifecycleError:
    days = settings.churn.horizon_days
    return NotEnoughData(
        where=where,
        got=got,
        rule=f"A backtest needs a date with three horizons of {days} days (and label latency) before it, and one after it.",
        fix="Bring more history, shorten [churn] horizon_days, or set [training] history_days lower.",
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _record(made: Walked, settings: Settings, pictures: list[Path], began: float) -> Record:
    """The walk for the tracking store, once an id: aggregates, by date where they are."""
    account = made.account
    metrics = {"seconds": round(time.time() - began, 1), **backtest_account.tracked(account)}
    params = {
        "backtest": account["backtest"],
        "horizon_days": str(account["horizon_days"]),
        "as_of": ", ".join(one["as_of"] for one in account["dates"]),
        "training.seconds": str(settings.training.seconds),
        "training.trials": str(settings.training.trials),
    }
    files = {"account.json": account, "configuration.json": record.configuration(settings)}
    return Record(
        "backtest",
        params=params,
        metrics=metrics,
        by_date=backtest_account.by_date(account),
        files=files,
        tags={
            "status": "ok",
            "verdict": account["verdict"],
            "mlflow.source.name": "lifecycle backtest",
            "mlflow.source.type": "LOCAL",
        },
        pictures=tuple(pictures),
        began=began,
        ended=time.time(),
        key=f"backtest-{account['backtest']}",
    )
