"""What open leads are worth: how probable it is that they become customers, and what those bring.

A channel with few leads says little, so its curve is drawn to that of all leads with the weight of
PRIOR leads (a prior, and marked as one); so is the money of its customers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from features.core.instants import DAY_US
from features.indicators.acquisition import ChannelLives
from features.indicators.business_table import COUNT, NUMBER, TEXT, TableShape
from features.indicators.channel_costs import EVERYBODY, load_channels
from features.indicators.funnel import new_leads
from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import wilson
from features.indicators.survival import survival_curve

Row = dict[str, Any]
AHEAD_DAYS, MONEY_DAYS = 90, 365
PRIOR = 50  # leads, or customers, that the rate of everybody counts as
DRAWS, SEED = 200, 7
NO_OPEN_LEAD = "a lead before as_of who is no customer yet"
PROSPECTS = TableShape(
    "prospects",
    f"p_convert: mean probability of a first activity in the next {AHEAD_DAYS} days, given how "
    "long each lead has been open (Kaplan–Meier of the channel, drawn to that of all leads); low, "
    f"high: bootstrap over leads, {DRAWS} draws (of a channel without a conversion up to Wilson's "
    "end); prior_share: the weight of all leads in it; "
    f"money_per_customer: purchases minus refunds × [value] margin within {MONEY_DAYS} days of the "
    "acquisition, of the channel's customers so old, drawn to everybody likewise; expected: the "
    "sum of p × money of the open leads; null where no customer is so old. all: their sums",
    "leads who are no customers yet, by channel",
    {
        "channel": TEXT,
        "p_convert": NUMBER,
        "prior_share": NUMBER,
        "money_per_customer": NUMBER,
        "expected": NUMBER,
        "open_days": COUNT,
    },
)


def prospect_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`prospects`: a row for each channel with an open lead, then all of them."""
    leads = new_leads(data)
    if isinstance(leads, str):
        return {"prospects": PROSPECTS.say_missing(leads, as_of=data.as_of)}
    channel = np.array(leads["channel"].to_pylist())
    begun, first = (leads[name].to_numpy().astype(float) for name in ("occurred_at", "step_1"))
    done = ~np.isnan(first)
    if done.all():
        return {"prospects": PROSPECTS.say_missing(NO_OPEN_LEAD, as_of=data.as_of)}
    wait = np.where(done, np.nan_to_num(first), data.as_of) - begun
    money = _money_of_channels(data, sorted(set(channel.tolist())))
    names = [name for name in money if (channel[~done] == name).any()]
    drawn = _draws(channel, wait, done, names)
    rows = [_row(name, channel == name, wait, done, money[name], drawn[name]) for name in names]
    return {
        "prospects": PROSPECTS.fill_rows(
            [*rows, _row_of_all(rows, wait[~done], drawn)], as_of=data.as_of
        )
    }


def _row(
    name: str,
    mine: np.ndarray,
    wait: np.ndarray,
    done: np.ndarray,
    money: float | None,
    drawn: np.ndarray,
) -> Row:
    is_open = mine & ~done
    p = _converts(wait, done, mine, wait[is_open])
    low, high = np.quantile(drawn[~np.isnan(drawn)], (0.025, 0.975))
    if not (mine & done).any():
        # A draw of leads without a conversion has none either: what they say stops at Wilson's end.
        [_], [most] = wilson(np.zeros(1), np.array([mine.sum()]))
        low, high = 0.0, max(float(high), float(most))
    return {
        "channel": name,
        "n": int(is_open.sum()),
        "p_convert": float(p.mean()),
        "low": float(low),
        "high": float(high),
        "prior_share": 0.0 if mine.all() else _prior_weight(mine),
        "money_per_customer": money,
        "expected": None if money is None else float(p.sum() * money),
        "open_days": int(np.median(wait[is_open]) // DAY_US),
    }


def _row_of_all(rows: list[Row], wait: np.ndarray, drawn: dict[str, np.ndarray]) -> Row:
    """The sums of the channels. `wait`: of the open leads, µs."""
    n = np.array([row["n"] for row in rows])
    p = np.array([row["p_convert"] for row in rows])
    known = [row["expected"] for row in rows if row["expected"] is not None]
    expected = sum(known) if known else None
    each = np.column_stack([np.nan_to_num(drawn[row["channel"]]) for row in rows])
    low, high = np.quantile(each @ n / n.sum(), (0.025, 0.975))
    likely = float(n @ p)
    return {
        "channel": EVERYBODY,
        "n": int(n.sum()),
        "p_convert": likely / n.sum(),
        "low": float(low),
        "high": float(high),
        "prior_share": float(n @ [row["prior_share"] for row in rows] / n.sum()),
        "money_per_customer": expected / likely if expected is not None and likely else None,
        "expected": expected,
        "open_days": int(np.median(wait) // DAY_US),
    }


def _prior_weight(mine: np.ndarray) -> float:
    return float(PRIOR / (mine.sum() + PRIOR))


def _converts(wait: np.ndarray, done: np.ndarray, mine: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """P(first activity in the next AHEAD_DAYS), of leads that have been open for `ages` µs.

    Beyond the oldest lead the curve stays as it is: nobody was seen to convert so late.
    """
    each, place = np.unique(ages, return_inverse=True)
    times = np.concatenate([each, each + AHEAD_DAYS * DAY_US])
    of_all, of_mine = (
        survival_curve(wait[part], done[part], np.minimum(times, wait[part].max())).share
        for part in (np.ones(len(wait), dtype=bool), mine)
    )
    weight = _prior_weight(mine)
    curve = weight * of_all + (1 - weight) * of_mine
    before, after = curve[: len(each)], curve[len(each) :]
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(before > 0, 1 - after / before, 0.0)
    return np.clip(p, 0, 1)[place]


def _draws(
    channel: np.ndarray, wait: np.ndarray, done: np.ndarray, names: list[str]
) -> dict[str, np.ndarray]:
    """By channel the mean of `_converts` over its open leads, with leads drawn again, (DRAWS,).

    NaN in a draw without an open lead of the channel.
    """
    rng = np.random.default_rng(SEED)
    result = {name: np.full(DRAWS, np.nan) for name in names}
    for number in range(DRAWS):
        drawn = rng.integers(0, len(wait), len(wait))
        again, ended, through = wait[drawn], done[drawn], channel[drawn]
        for name in names:
            mine = through == name
            ages = again[mine & ~ended]
            if len(ages):
                result[name][number] = _converts(again, ended, mine, ages).mean()
    return result


def _money_of_channels(data: IndicatorData, names: list[str]) -> dict[str, float | None]:
    """Money × margin within MONEY_DAYS per customer so old, drawn to that of everybody."""
    worth = data.settings.value.margin_share / 10**data.settings.minor_digits
    if not (data.has_purchase and data.has_margins):
        return dict.fromkeys([*names, EVERYBODY])
    load_channels(data)
    lives = ChannelLives.read(data)
    everybody = lives.earned_within(MONEY_DAYS * DAY_US, lives.of(EVERYBODY)) * worth
    if not len(everybody):
        return dict.fromkeys([*names, EVERYBODY])
    mean, money = float(everybody.mean()), {}
    for name in names:
        mine = (
            lives.earned_within(MONEY_DAYS * DAY_US, lives.of(name)) * worth
            if name in lives.names
            else everybody[:0]
        )
        money[name] = float((mine.sum() + PRIOR * mean) / (len(mine) + PRIOR))
    return {**money, EVERYBODY: mean}
