"""One campaign as it is decided: who gets which action, who is held out, who is let go, and why.

candidates ─► options (a condition met, not contacted lately) ─► allocation ─► hold-out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.action_schema import Action
from features.core.condition import parse_condition
from features.core.instants import DAY_US
from features.indicators.intervals import Z
from serving.campaigns.store import HELD_OUT
from serving.decisions.allocation import NOTHING, Limits, allocate
from serving.decisions.economics import (
    cost_of_effect,
    expected_cost,
    expected_profit,
    profit_interval,
    profit_of_effect,
)
from serving.decisions.effect_model import EffectModel, log_hazard
from serving.decisions.hold_out import HoldOut, draw_hold_out, draw_number, needed_hold_out
from serving.decisions.profit_curve import ProfitCurve, profit_curve

TREATED = "treated"
MOST_ROUNDS = 20  # of choosing again, with more held out
BLOCK = 50_000  # customers whose inputs are in memory at once
Array = np.ndarray


@dataclass(frozen=True)
class Rules:
    """What is decided by: the actions, and the limits of one campaign.

    rest_days: a customer is not contacted so soon after any contact. held_out_days: who was held
    out of another campaign is left alone for so long. budget: None for no limit. effects: learned,
    for the actions that it has; the others are priced by their acceptance. harmful: actions that
    a campaign measured to drive customers away: they are for nobody.
    """

    campaign: str
    actions: Mapping[str, Action]
    hold_out: float
    detectable_effect: float | None
    rest_days: int
    held_out_days: int
    budget: float | None = None
    capacity: Mapping[str, int] = field(default_factory=dict)
    effects: EffectModel | None = None
    harmful: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """profit, cost, low, high (customers, actions): NaN where an action is not for a customer.

    fits: whether the condition of the action is met. cooling: who had the action lately. resting:
    who was contacted lately by any. alone: who is held out of another campaign.
    """

    names: tuple[str, ...]
    profit: Array
    cost: Array
    low: Array
    high: Array
    fits: Array
    cooling: Array
    resting: Array
    alone: Array


@dataclass(frozen=True)
class Plan:
    """chosen: a row for each customer of the campaign, by falling expected profit; let_go: who is
    worth no action of those that are meant for them; counts: everybody, by what became of them.

    prices: what one more unit of each limit would bring. bound: what no plan could exceed. curve:
    the profit of contacting more and more customers, without limits and without a hold-out.
    """

    chosen: pa.Table
    let_go: pa.Table
    counts: Mapping[str, int]
    prices: Mapping[str, float]
    bound: float
    hold_out: HoldOut
    share_wanted: float
    curve: ProfitCurve


def make_plan(customers: pa.Table, contacts: pa.Table, rules: Rules, as_of: int) -> Plan:
    """Decide for the rows of `Candidates`; `contacts` as `known_contacts` gives them."""
    options = price_options(customers, contacts, rules, as_of)
    order = np.array(
        [draw_number(rules.campaign, each) / 2**64 for each in customers["customer_id"].to_pylist()]
    )
    share = min(rules.hold_out, 0.5)
    for _ in range(MOST_ROUNDS):
        limits = _limits(options, rules, share)
        allocation = allocate(options.profit, options.cost, limits, order=order)
        needed = _needed_share(customers, allocation.chosen, rules)
        if needed is None or needed <= share + 1e-12 or share >= 0.5:
            break
        share = min(needed, 0.5)  # more are held out, so more are chosen within the same limits
    drawn = _hold_out(customers, allocation.chosen, rules, share)
    chosen = _within_limits(options, allocation.chosen, drawn, allocation.surplus, rules)
    stays = (chosen != NOTHING)[allocation.chosen != NOTHING]
    hold_out = drawn.of(stays, risk=_mean_risk(customers, chosen))
    rows = _chosen_rows(customers, options, chosen, hold_out)
    pays = np.nan_to_num(options.profit, nan=-np.inf).max(axis=1, initial=-np.inf) > 0
    allowed = ~(options.resting | options.alone)
    cooling = allowed & options.fits.any(axis=1) & ~(options.fits & ~options.cooling).any(axis=1)
    let_go = allowed & options.fits.any(axis=1) & ~pays & ~cooling
    counts = {
        "held out of another campaign": int(options.alone.sum()),
        "contacted lately": int((options.resting & ~options.alone).sum()),
        "no action fits": int((allowed & ~options.fits.any(axis=1)).sum()),
        "had the action lately": int(cooling.sum()),
        "no action pays": int(let_go.sum()),
        "beyond the limits": int((allowed & pays & (chosen == NOTHING)).sum()),
        "chosen": int((chosen != NOTHING).sum()),
    }
    prices = {"budget": allocation.budget_price} if rules.budget is not None else {}
    return Plan(
        rows,
        customers.filter(pa.array(let_go)),
        counts,
        {**prices, **allocation.channel_prices},
        allocation.bound,
        hold_out,
        share,
        profit_curve(options.profit),
    )


def price_options(customers: pa.Table, contacts: pa.Table, rules: Rules, as_of: int) -> Options:
    """Every action for every customer: whether it fits, and what it brings and costs."""
    size, names = customers.num_rows, tuple(rules.actions)
    p, low_p, high_p, value = (
        customers[name].to_numpy(zero_copy_only=False)
        for name in ("risk", "p_low", "p_high", "value")
    )
    shape = (size, len(names))
    profit, cost, low, high = (np.full(shape, np.nan) for _ in range(4))
    fits, cools = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    resting = _contacted_since(customers, contacts, as_of, rules.rest_days)
    alone = _held_out_since(customers, contacts, as_of, rules)
    learned = _learned_effects(customers, rules)
    for place, (name, action) in enumerate(rules.actions.items()):
        money = {"incentive": action.incentive, "contact": action.contact_cost}
        met = parse_condition(action.when).holds(customers).to_numpy(zero_copy_only=False)
        cooling = _contacted_since(customers, contacts, as_of, action.cool_down_days, action=name)
        if name in rules.harmful:
            met = np.zeros(size, dtype=bool)
        fits[:, place], cools[:, place] = met, cooling
        open_ = met & ~resting & ~alone & ~cooling & np.isfinite(value)
        if name in learned:
            effect, error = learned[name]
            ends = [
                profit_of_effect(effect + way * Z * error, p, value, **money) for way in (-1, 0, 1)
            ]
            low[:, place], _, high[:, place] = np.sort(ends, axis=0)
            expected = ends[1]
            cost[:, place] = cost_of_effect(effect, p, **money)
        else:
            mean = action.acceptance.mean
            expected = expected_profit(p, value, acceptance=mean, **money)
            cost[:, place] = expected_cost(p, acceptance=mean, **money)
            low[:, place], high[:, place] = profit_interval(
                low_p, high_p, value, by=action.acceptance, **money
            )
        profit[open_, place] = expected[open_]
    return Options(names, profit, cost, low, high, fits, cools, resting, alone)


def _learned_effects(customers: pa.Table, rules: Rules) -> dict[str, tuple[Array, Array]]:
    """The effect on each customer and its standard error, of the actions that have one."""
    if rules.effects is None:
        return {}
    effects = {name: each for name, each in rules.effects.actions.items() if name in rules.actions}
    parts: dict[str, list[tuple[Array, Array]]] = {name: [] for name in effects}
    for start in range(0, customers.num_rows, BLOCK):
        block = customers.slice(start, BLOCK)
        inputs, hazard = rules.effects.inputs.matrix(block), log_hazard(block)
        for name, each in effects.items():
            parts[name].append(each.effect(inputs, hazard))
    return {
        name: (np.concatenate([e for e, _ in blocks]), np.concatenate([s for _, s in blocks]))
        for name, blocks in parts.items()
        if blocks
    }


def _contacted_since(
    customers: pa.Table, contacts: pa.Table, as_of: int, days: int, *, action: str | None = None
) -> Array:
    """Who was contacted in the last `days` before as_of, by this action if one is given."""
    contacted = contacts.filter(pc.not_equal(contacts["arm"], HELD_OUT))
    if action is not None:
        contacted = contacted.filter(pc.fill_null(pc.equal(contacted["action"], action), False))
    return _has_row_since(customers, contacted, as_of, days)


def _held_out_since(customers: pa.Table, contacts: pa.Table, as_of: int, rules: Rules) -> Array:
    """Who is held out of another campaign whose outcomes are still open."""
    open_hold_out = contacts.filter(pc.equal(contacts["arm"], HELD_OUT))
    open_hold_out = open_hold_out.filter(pc.not_equal(open_hold_out["campaign"], rules.campaign))
    return _has_row_since(customers, open_hold_out, as_of, rules.held_out_days)


def _has_row_since(customers: pa.Table, rows: pa.Table, as_of: int, days: int) -> Array:
    if days == 0:
        return np.zeros(customers.num_rows, dtype=bool)
    # A contact that is planned is as near as one that was made.
    distance = pc.abs(pc.subtract(rows["occurred_at"], as_of))
    late = rows.filter(pc.less_equal(distance, days * DAY_US))
    is_in = pc.is_in(customers["customer_id"], late["customer_id"].combine_chunks())
    return is_in.to_numpy()


def _limits(options: Options, rules: Rules, share: float) -> Limits:
    """The limits of all chosen: those who are held out use nothing of them."""
    channels = tuple(action.channel for action in rules.actions.values())
    return Limits(
        None if rules.budget is None else rules.budget / (1 - share),
        {name: int(most / (1 - share)) for name, most in rules.capacity.items()},
        channels,
    )


def _needed_share(customers: pa.Table, chosen: Array, rules: Rules) -> float | None:
    """The share that has to be held out for the effect that is to be told; None for no wish."""
    count = int((chosen != NOTHING).sum())
    if rules.detectable_effect is None or not rules.hold_out or not count:
        return None
    needed = needed_hold_out(
        count, risk=_mean_risk(customers, chosen), difference=rules.detectable_effect
    )
    return None if needed is None else needed / count


def _mean_risk(customers: pa.Table, chosen: Array) -> float:
    risks = customers["risk"].to_numpy(zero_copy_only=False)[chosen != NOTHING]
    return float(risks.mean()) if len(risks) else 0.0


def _hold_out(customers: pa.Table, chosen: Array, rules: Rules, share: float) -> HoldOut:
    taken = pa.array(np.flatnonzero(chosen != NOTHING))
    rows = customers.take(taken)
    strata = [
        f"{stage} · {tier or 'no tier'}"
        for stage, tier in zip(rows["stage"].to_pylist(), rows["tier"].to_pylist(), strict=True)
    ]
    ids = rows["customer_id"].to_pylist()
    risk = _mean_risk(customers, chosen)
    return draw_hold_out(rules.campaign, ids, strata, share=share, risk=risk)


def _within_limits(
    options: Options, chosen: Array, hold_out: HoldOut, surplus: Array, rules: Rules
) -> Array:
    """What is chosen without the least, of both arms, where those to contact pass a limit.

    The draw may have held out more of one channel than of another.
    """
    chosen = chosen.copy()
    places = np.flatnonzero(chosen != NOTHING)
    contacted = np.zeros(len(chosen), dtype=bool)
    contacted[places] = ~hold_out.held_out
    channels = np.array([action.channel for action in rules.actions.values()])
    for name, most in rules.capacity.items():
        of_channel = places[channels[chosen[places]] == name] if len(places) else places
        _drop_least(chosen, of_channel, surplus, contacted.astype(float), float(most))
    places = np.flatnonzero(chosen != NOTHING)
    if rules.budget is not None:
        spent = np.zeros(len(chosen))
        spent[places] = options.cost[places, chosen[places]] * contacted[places]
        _drop_least(chosen, places, surplus, spent, rules.budget)
    return chosen


def _drop_least(chosen: Array, places: Array, surplus: Array, used: Array, most: float) -> None:
    """Take the action from those with the least surplus until the rest use at most `most`."""
    ordered = places[np.argsort(surplus[places], kind="stable")]
    left = used[places].sum()
    for place in ordered:
        if left <= most + 1e-9:
            return
        left -= used[place]
        chosen[place] = NOTHING


def _chosen_rows(
    customers: pa.Table, options: Options, chosen: Array, hold_out: HoldOut
) -> pa.Table:
    """A row for each chosen customer: the arm, the action, and what it is expected to bring."""
    places = np.flatnonzero(chosen != NOTHING)
    kinds = chosen[places]
    rows = customers.take(pa.array(places))
    rows = rows.append_column("arm", pa.array(np.where(hold_out.held_out, HELD_OUT, TREATED)))
    rows = rows.append_column("stratum", pa.array(hold_out.strata, pa.string()))
    names = pa.array(options.names, pa.string())
    rows = rows.append_column("action", names.take(pa.array(kinds)))
    for name, numbers in (
        ("expected_profit", options.profit),
        ("expected_profit_low", options.low),
        ("expected_profit_high", options.high),
        ("expected_cost", options.cost),
    ):
        rows = rows.append_column(name, pa.array(numbers[places, kinds]))
    order = [("expected_profit", "descending"), ("customer_id", "ascending")]
    return rows.take(pc.sort_indices(rows, sort_keys=order))
