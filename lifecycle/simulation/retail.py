"""The retail side of `lifecycle.simulation`: visits, purchases, a silent leaving, and the exact chance of silence."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lifecycle.simulation.tables import observed
from lifecycle.simulation.world import (
    DAY,
    DOWNGRADE_PAGE,
    DOWNGRADES,
    LEAVES,
    MINUTE,
    SERVICES,
    VISIT,
    VISITS,
    VISITS_A_BUY,
    WEB,
    Leaving,
    Lives,
    People,
    Rng,
    daytime,
    first_day,
    hits,
    rows,
    transition,
)


def lived(
    rng: Rng, people: People, level: np.ndarray, horizon: int
) -> tuple[dict[str, pa.Table], Leaving]:
    """The four tables, and the exact chance of leaving from any day on."""
    day = np.arange(len(level))[:, None]
    after = day > people.acquired
    gone = first_day(rng.random(level.shape, dtype=np.float32) < after * LEAVES[level])
    lives = Lives(level, after & (day < gone), gone)
    bought_on, again = hits(rng, lives.present * people.buys)
    once = np.flatnonzero(people.buys > 0)
    who = np.append(once, again)
    at = np.append(people.acquired_at[once] + 10 * MINUTE, daytime(rng, bought_on))
    price = rng.lognormal(np.log(3500), 0.5, who.size).astype(int) * np.where(
        people.segment[who] == 2, 2, 1
    )
    bought = rows(who, at, price, rng.integers(0, len(SERVICES), who.size))
    did = np.hstack([_visits(rng, people, lives, bought), _downgrade_pages(rng, lives)])
    tables = observed(rng, people, lives, bought=bought, did=did, services=SERVICES)
    return tables, _leaving(people, lives, horizon)


def _visits(rng: Rng, people: People, lives: Lives, bought: np.ndarray) -> np.ndarray:
    often = np.maximum(VISITS_A_BUY * people.buys, 0.02)
    day, who = hits(rng, lives.present * often * VISITS[lives.level])
    before = bought[1] - rng.integers(2 * MINUTE, 10 * MINUTE, len(bought[1]))
    who, at = np.append(who, bought[0]), np.append(daytime(rng, day), before)
    shows = lives.level[at // DAY, who]
    return rows(
        who,
        at,
        VISIT,
        rng.choice(3, who.size, p=[0.5, 0.35, 0.15]),
        1 + rng.poisson(2 + 2.5 * shows),
    )


def _downgrade_pages(rng: Rng, lives: Lives) -> np.ndarray:
    """Looks at the page that ends a membership, by anybody at any time: they announce nothing."""
    own = rng.spawn(1)[0]  # what else is drawn does not depend on them
    day, who = hits(own, lives.present * np.float32(DOWNGRADES))
    return rows(who, daytime(own, day), DOWNGRADE_PAGE, WEB, 1)


def _leaving(people: People, lives: Lives, horizon: int) -> Leaving:
    """V₀ = 1, Vₖ(s) = Σₛ' T(s, s') · [h(s') + (1 − h(s')) · (1 − b) · Vₖ₋₁(s')], b the own buying probability."""
    silent = np.ones((people.buys.size, len(LEAVES)))
    for _ in range(horizon):
        silent = (LEAVES + (1 - LEAVES) * (1 - people.buys[:, None]) * silent) @ transition().T

    def leaving(day: int) -> tuple[np.ndarray, np.ndarray]:
        left = lives.gone < day
        return np.where(left, 1.0, silent[np.arange(left.size), lives.level[day - 1]]), left

    return leaving
