"""What the catalogue is worth: one booster setting on several sets of columns, same rows, same outcomes.

The setting is the first guess of training's search at a rate of .05 for 200 rounds, every column open to every tree;
it is nobody's best and was not chosen by these dates. All models learn from and are judged on customers at risk (the
eligible: active within a horizon before as_of).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.features import environment, opponents, retailers
from benchmarks.features.compared import Difference, Rows, Told, difference, words
from benchmarks.features.opponents import DFS, OWN_PAST_RATE, RFM
from benchmarks.features.retailers import Retailer, Round
from features.core.instants import day_text
from features.core.progress import say
from serving.scoring.parts import sigmoid
from training.models import ridge, search

SETTING = search.FIRST_GUESS | {"learning_rate": 0.05, "colsample_bytree": 1.0}
ROUNDS, SEED = 200, 7
CATALOGUE, PAST = "catalogue", "own past rate"
OPPONENTS = ("RFM", PAST, *DFS)


@dataclass(frozen=True)
class Judged:
    """One retailer: what is told of each model, the families it has, columns of each model, dates, rows, their rate."""

    name: str
    told: dict[str, Told]
    families: tuple[str, ...]
    columns: dict[str, str]
    dates: tuple[str, ...]
    rows: int
    rate: float


@dataclass(frozen=True)
class Chosen:
    """Columns of a matrix (rows, every): those `named`, or (None) those a model may use at the round."""

    matrix: np.ndarray
    every: tuple[str, ...]
    named: frozenset[str] | None = None
    but: frozenset[str] = frozenset()

    def at(self, one: Round, train: np.ndarray) -> np.ndarray:
        """The columns' numbers; those that are constant over the training rows stay out."""
        names = (frozenset(one.modelled) if self.named is None else self.named) - self.but
        numbers = np.array([number for number, name in enumerate(self.every) if name in names], int)
        values = self.matrix[np.ix_(train, numbers)]
        values = np.where(np.isnan(values), -np.inf, values)
        return numbers[(values != values[:1]).any(axis=0)]


def measured(
    *, names: tuple[str, ...] = retailers.NAMES, home: Path = environment.HOME
) -> dict[str, Any]:
    """Every model on every retailer; SystemExit where the public data are absent."""
    if absent := retailers.missing():
        raise SystemExit(
            f"quality needs {', '.join(absent)} under LIFECYCLE_DATA; docs/data.md lists their origin"
        )
    environment.interpreter(home)
    shops = []
    for name in names:
        say(f"quality: rows of {name}")
        shops.append(retailers.retailer(name))
    found = opponents.synthesised(shops, home)
    judged = [_judged(shop, {kind: found[shop.name, kind] for kind in DFS}) for shop in shops]
    return {"judged": judged, "dfs_seconds": sum(one.seconds for one in found.values())}


def _judged(shop: Retailer, synthesised: dict[str, opponents.Synthesis]) -> Judged:
    say(f"quality: models of {shop.name}")
    at, y = shop.rows["as_of"].to_numpy(), shop.rows["churned"].to_numpy()
    families = tuple(
        dict.fromkeys(shop.families[name] for one in shop.rounds for name in one.modelled)
    )
    sets = _sets(shop, synthesised, families)
    jobs = [(name, one) for name in sets for one in shop.rounds]
    with ThreadPoolExecutor(2) as two:
        scored = list(two.map(lambda job: _boosted(sets[job[0]], job[1], at, y), jobs))
    jobs += [(PAST, one) for one in shop.rounds]
    scored += [_own_past_rate(shop, one, at, y) for one in shop.rounds]
    late = np.concatenate([np.flatnonzero(at == one.at) for one in shop.rounds])
    rows = Rows(y[late], at[late], np.array(shop.rows["customer_id"].to_pylist())[late])
    told = {
        name: rows.told(
            np.concatenate([p for (of, _), p in zip(jobs, scored, strict=True) if of == name])
        )
        for name in dict.fromkeys(name for name, _ in jobs)
    }
    dates = tuple(
        f"{day_text(one.at, zone=shop.settings.zone)} from {len(one.train)}" for one in shop.rounds
    )
    sizes = {name: _size(sets[name], shop.rounds, at) for name in (CATALOGUE, "RFM", *DFS)}
    sizes |= {kind: f"{sizes[kind]} of {found.all_columns}" for kind, found in synthesised.items()}
    sizes |= {CATALOGUE: f"{sizes[CATALOGUE]} of {len(shop.made.names)}", PAST: "1"}
    return Judged(shop.name, told, families, sizes, dates, len(late), float(y[late].mean()))


def _sets(
    shop: Retailer, synthesised: dict[str, opponents.Synthesis], families: tuple[str, ...]
) -> dict[str, Chosen]:
    every = shop.made.names
    matrix = np.stack([shop.rows[name].to_numpy().astype(float) for name in every], axis=1)
    out = {CATALOGUE: Chosen(matrix, every), "RFM": Chosen(matrix, every, frozenset(RFM))}
    out |= {
        kind: Chosen(found.matrix, found.names, frozenset(found.names))
        for kind, found in synthesised.items()
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
    part, _, _ = search.boost(
        chosen.matrix[np.ix_(train, numbers)],
        y[train].astype(int),
        names=tuple(f"column {n}" for n in numbers),
        outputs=1,
        settings=SETTING,
        rounds=ROUNDS,
        seed=SEED,
    )
    return sigmoid(part.margins(chosen.matrix[np.ix_(late, numbers)])[:, 0])


def _own_past_rate(shop: Retailer, one: Round, at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The shrunk share of own past horizons without activity, brought to a probability by a logistic: its order stays."""
    rate, train = (
        1 - shop.rows[OWN_PAST_RATE].to_numpy().astype(float)[:, None],
        np.isin(at, one.train),
    )
    part = ridge.fit(rate[train], y[train].astype(int), strength=1.0, outputs=1)
    return sigmoid(part.margins(rate[at == one.at])[:, 0])


def _size(chosen: Chosen, rounds: tuple[Round, ...], at: np.ndarray) -> str:
    counts = [len(chosen.at(one, np.flatnonzero(np.isin(at, one.train)))) for one in rounds]
    return f"{min(counts)}–{max(counts)}" if min(counts) < max(counts) else str(counts[0])


def against(judged: list[Judged], one: str, other: str) -> Difference | None:
    """one − other, pooled over the retailers that have both; None where none has."""
    pairs = [
        (shop.told[one], shop.told[other]) for shop in judged if {one, other} <= set(shop.told)
    ]
    return difference(pairs) if pairs else None


def figures(found: dict[str, Any]) -> dict[str, float]:
    """AUROC differences over the opponents, pooled; of the two kinds of DFS the one that flatters least."""
    over = {name: against(found["judged"], CATALOGUE, name).auroc[0] for name in OPPONENTS}
    return {
        "auroc_over_rfm": round(over["RFM"], 4),
        "auroc_over_past_rate": round(over[PAST], 4),
        "auroc_over_dfs": round(min(over[kind] for kind in DFS), 4),
    }


def text(found: dict[str, Any]) -> str:
    judged, lines = found["judged"], []
    for shop in judged:
        lines.append(
            f"{shop.name}: {shop.rows:,} rows, {shop.rate:.3f} left; {', '.join(shop.dates)} dates"
        )
        lines += [
            f"  {name:18}{told.auroc:8.4f}{told.log_loss:8.4f}   {shop.columns[name]} columns"
            for name, told in shop.told.items()
            if name in shop.columns
        ]
        lines += _over([shop])
    lines += [
        "all, each retailer alike",
        *_over(judged),
        "families (AUROC and log loss against the whole catalogue)",
    ]
    for family in dict.fromkeys(family for shop in judged for family in shop.families):
        where = sum(family in shop.families for shop in judged)
        lines += [
            f"  {how:8}{family:14}{where}  {words(against(judged, f'{how} {family}', CATALOGUE))}"
            for how in ("without", "only")
        ]
    return "\n".join([*lines, f"DFS took {found['dfs_seconds']:.0f} s"])


def _over(judged: list[Judged]) -> list[str]:
    return [
        f"    {CATALOGUE} − {name:18}{words(against(judged, CATALOGUE, name))}"
        for name in OPPONENTS
    ]
