"""The value of the catalogue: one booster setting on several sets of columns, on the same rows.

The setting is the first one that training's search tries, with a rate of .05, 200 rounds and all
columns open to every tree. It is tuned for nobody and was not chosen on these dates. All models
learn from customers at risk and are evaluated on them (the eligible: active within a horizon before
as_of).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features import environment, opponents, retailers
from benchmarks.features.comparison import (
    Difference,
    ModelResult,
    Rows,
    difference,
    format_difference,
)
from benchmarks.features.opponents import DFS, OWN_PAST_RATE, RFM
from benchmarks.features.retailers import Retailer, Round
from features.core.instants import day_text
from features.core.progress import print_status
from serving.scoring.parts import sigmoid
from training.models import booster_space, boosters, ridge

SETTING = booster_space.INITIAL_SETTINGS | {"learning_rate": 0.05, "colsample_bytree": 1.0}
ROUNDS, SEED = 200, 7
CATALOGUE, PAST = "catalogue", "own past rate"
OPPONENTS = ("RFM", PAST, *DFS)


@dataclass(frozen=True)
class Evaluation:
    """One retailer: the result of each model; its families, columns, dates, rows and churn rate."""

    name: str
    results: dict[str, ModelResult]
    families: tuple[str, ...]
    columns: dict[str, str]
    dates: tuple[str, ...]
    rows: int
    rate: float


@dataclass(frozen=True)
class Chosen:
    """Columns of a matrix (rows, all columns) that one model may use.

    Those `named`, or with None those that a model may use at the round; without those in `but`.
    """

    matrix: np.ndarray
    every: tuple[str, ...]
    named: frozenset[str] | None = None
    but: frozenset[str] = frozenset()

    def at(self, one: Round, train: np.ndarray) -> np.ndarray:
        """Positions of the columns that vary over the training rows."""
        names = (frozenset(one.modelled) if self.named is None else self.named) - self.but
        numbers = np.array([number for number, name in enumerate(self.every) if name in names], int)
        values = self.matrix[np.ix_(train, numbers)]
        values = np.where(np.isnan(values), -np.inf, values)
        return numbers[(values != values[:1]).any(axis=0)]


def measure(
    *, names: tuple[str, ...] = retailers.NAMES, home: Path = environment.HOME
) -> dict[str, Any]:
    """Every model on every retailer; SystemExit where the public data are absent."""
    if absent := retailers.missing_data():
        raise SystemExit(
            f"quality needs {', '.join(absent)} under LIFECYCLE_DATA; see docs/data.md"
        )
    environment.make_environment(home)
    shops = []
    for name in names:
        print_status(f"quality: rows of {name}")
        shops.append(retailers.load_retailer(name))
    result = opponents.synthesise(shops, home)
    evaluations = [
        _evaluate(shop, {kind: result[shop.name, kind] for kind in DFS}) for shop in shops
    ]
    return {"evaluations": evaluations, "dfs_seconds": sum(one.seconds for one in result.values())}


def _evaluate(shop: Retailer, synthesised: dict[str, opponents.Synthesis]) -> Evaluation:
    print_status(f"quality: models of {shop.name}")
    at, y = shop.rows["as_of"].to_numpy(), shop.rows["churned"].to_numpy()
    families = tuple(
        dict.fromkeys(shop.families[name] for one in shop.rounds for name in one.modelled)
    )
    sets = _sets(shop, synthesised, families)
    jobs = [(name, one) for name in sets for one in shop.rounds]
    with ThreadPoolExecutor(2) as two:
        predictions = list(two.map(lambda job: _boosted(sets[job[0]], job[1], at, y), jobs))
    jobs += [(PAST, one) for one in shop.rounds]
    predictions += [_own_past_rate(shop, one, at, y) for one in shop.rounds]
    late = np.concatenate([np.flatnonzero(at == one.at) for one in shop.rounds])
    rows = Rows(y[late], at[late], np.array(shop.rows["customer_id"].to_pylist())[late])
    results = {
        name: rows.evaluate(
            np.concatenate([p for (of, _), p in zip(jobs, predictions, strict=True) if of == name])
        )
        for name in dict.fromkeys(name for name, _ in jobs)
    }
    dates = tuple(
        f"{day_text(one.at, zone=shop.settings.zone)} from {len(one.train)}" for one in shop.rounds
    )
    sizes = {name: _size(sets[name], shop.rounds, at) for name in (CATALOGUE, "RFM", *DFS)}
    sizes |= {
        kind: f"{sizes[kind]} of {result.all_columns}" for kind, result in synthesised.items()
    }
    sizes |= {CATALOGUE: f"{sizes[CATALOGUE]} of {len(shop.example_set.names)}", PAST: "1"}
    return Evaluation(shop.name, results, families, sizes, dates, len(late), float(y[late].mean()))


def _sets(
    shop: Retailer, synthesised: dict[str, opponents.Synthesis], families: tuple[str, ...]
) -> dict[str, Chosen]:
    every = shop.example_set.names
    matrix = np.stack([shop.rows[name].to_numpy().astype(float) for name in every], axis=1)
    out = {CATALOGUE: Chosen(matrix, every), "RFM": Chosen(matrix, every, frozenset(RFM))}
    out |= {
        kind: Chosen(result.matrix, result.names, frozenset(result.names))
        for kind, result in synthesised.items()
    }
    for family in families:
        mine = frozenset(name for name in every if shop.families[name] == family)
        out[f"without {family}"] = Chosen(matrix, every, but=mine)
        out[f"only {family}"] = Chosen(matrix, every, but=frozenset(every) - mine)
    return out


def _boosted(chosen: Chosen, one: Round, at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(churned) of the rows at the round's date."""
    train, late = np.flatnonzero(np.isin(at, one.train)), np.flatnonzero(at == one.at)
    numbers = chosen.at(one, train)
    if not numbers.size:
        return np.full(late.size, y[train].mean())
    rows = boosters.LabelledRows(
        chosen.matrix[np.ix_(train, numbers)],
        y[train].astype(int),
        names=tuple(f"column {n}" for n in numbers),
        outputs=1,
    )
    part = boosters.fit_booster(rows, settings=SETTING, rounds=ROUNDS, seed=SEED)
    return sigmoid(part.margins(chosen.matrix[np.ix_(late, numbers)])[:, 0])


def _own_past_rate(shop: Retailer, one: Round, at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The shrunk share of own past horizons without activity, through a logistic.

    The logistic makes it a probability and keeps its order.
    """
    rate, train = (
        1 - shop.rows[OWN_PAST_RATE].to_numpy().astype(float)[:, None],
        np.isin(at, one.train),
    )
    part = ridge.fit_ridge(rate[train], y[train].astype(int), strength=1.0, outputs=1)
    return sigmoid(part.margins(rate[at == one.at])[:, 0])


def _size(chosen: Chosen, rounds: tuple[Round, ...], at: np.ndarray) -> str:
    counts = [len(chosen.at(one, np.flatnonzero(np.isin(at, one.train)))) for one in rounds]
    return f"{min(counts)}–{max(counts)}" if min(counts) < max(counts) else str(counts[0])


def against(evaluations: list[Evaluation], one: str, other: str) -> Difference | None:
    """one − other, pooled over the retailers that have both; None where none has."""
    pairs = [
        (shop.results[one], shop.results[other])
        for shop in evaluations
        if {one, other} <= set(shop.results)
    ]
    return difference(pairs) if pairs else None


def figures(result: dict[str, Any]) -> dict[str, float]:
    """Pooled AUROC differences to the opponents; for DFS the smaller of its two differences."""
    over = {name: against(result["evaluations"], CATALOGUE, name).auroc[0] for name in OPPONENTS}
    return {
        "auroc_over_rfm": round(over["RFM"], 4),
        "auroc_over_past_rate": round(over[PAST], 4),
        "auroc_over_dfs": round(min(over[kind] for kind in DFS), 4),
    }


def report_text(result: dict[str, Any]) -> str:
    evaluations, lines = result["evaluations"], []
    for shop in evaluations:
        lines.append(
            f"{shop.name}: {shop.rows:,} rows, {shop.rate:.3f} left; {', '.join(shop.dates)} dates"
        )
        lines += [
            f"  {name:18}{model.auroc:8.4f}{model.log_loss:8.4f}   {shop.columns[name]} columns"
            for name, model in shop.results.items()
            if name in shop.columns
        ]
        lines += _over([shop])
    lines += [
        "all, each retailer alike",
        *_over(evaluations),
        "families (AUROC and log loss against the whole catalogue)",
    ]
    for family in dict.fromkeys(family for shop in evaluations for family in shop.families):
        where = sum(family in shop.families for shop in evaluations)
        lines += [
            f"  {how:8}{family:14}{where}  {format_difference(change)}"
            for how in ("without", "only")
            if (change := against(evaluations, f"{how} {family}", CATALOGUE))
        ]
    return "\n".join([*lines, f"DFS took {result['dfs_seconds']:.0f} s"])


def _over(evaluations: list[Evaluation]) -> list[str]:
    return [
        f"    {CATALOGUE} − {name:18}{format_difference(against(evaluations, CATALOGUE, name))}"
        for name in OPPONENTS
    ]
