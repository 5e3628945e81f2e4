"""`lifecycle decide`: who gets which action, who is held out, who is let go."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import BadSetting, NotEnoughData
from features.core.instants import day_text
from features.core.language import number, say
from features.core.progress import print_status
from features.core.settings import Settings
from features.core.staged_files import PRIVATE, put_in_place, staging_folder
from features.indicators.indicator_data import IndicatorData
from features.tables.currencies import refuse_several_currencies
from features.tables.history import History, newest_as_of, refuse_too_late
from lifecycle.commands.decide_text import decision_text
from serving.batch.writers import out_errors, write_table, write_table_for_spreadsheets
from serving.decisions import campaigns
from serving.decisions.candidates import Candidates, known_contacts, load_candidates
from serving.decisions.effect_model import effects_at, kept_odds
from serving.decisions.hold_out import needed_customers
from serving.decisions.plan import TREATED, Plan, Rules, Z, make_plan, price_options
from serving.decisions.review import Finding, review_actions
from training.effects.harmful import harmful_actions

EXAMPLE = """\
[actions.call]
when = "stage in (at_risk, dormant) and risk >= 0.3"
channel = "phone"
contact_cost = 6.0
incentive = 0.0
acceptance = 0.15"""
# The file by which a folder of lists is known: the name of its campaign.
MARK = "campaign.txt"
ENDS = ("expected_profit_low", "expected_profit_high")
_OF_PEOPLE = (
    *("customer_id", "action", "channel", "expected_profit", "expected_profit_low"),
    *("expected_profit_high", "expected_cost", "stage", "tier", "segment", "risk", "value"),
    *("days_since_activity", "reason_1", "reason_2", "reason_3"),
)
_OF_TREATMENTS = (
    *("customer_id", "occurred_at", "campaign", "recorded_at", "arm", "action", "cost"),
)
_LET_GO = ("customer_id", "stage", "tier", "risk", "value", "reason_1", "reason_2", "reason_3")


@dataclass(frozen=True)
class Decision:
    """A campaign that was decided, and what is said of it.

    currency: of every amount; minor_digits: the digits after the point that it has.
    later: campaigns that were decided by the scores of later days, and so are not known here.
    """

    rules: Rules
    plan: Plan
    candidates: Candidates
    as_of: int
    zone: str
    currency: str | None
    minor_digits: int = 2
    later: tuple[str, ...] = ()

    def treatments(self) -> pa.Table:
        """Both arms in the columns of `treatments`, decided and planned at as_of."""
        rows = campaign_rows(self)
        return rows.select(list(_OF_TREATMENTS))

    def write(self, folder: Path) -> None:
        """`contacts` and `let_go` as parquet and CSV, and `treatments.csv`; all of them or none.

        BadSetting for a folder that has the lists of another campaign.
        """
        contacts = self.plan.chosen.filter(pc.equal(self.plan.chosen["arm"], TREATED))
        contacts = contacts.append_column("channel_", _channels(contacts, self.rules))
        contacts = contacts.drop_columns(["channel"]).rename_columns({"channel_": "channel"})
        treatments = self.treatments()
        for name in ("occurred_at", "recorded_at"):
            at = treatments.column_names.index(name)
            instants = treatments[name].cast(pa.timestamp("us", tz="UTC"))
            treatments = treatments.set_column(at, name, instants)
        refuse_other_campaign(folder, self.rules.campaign)
        with out_errors():
            folder.mkdir(parents=True, exist_ok=True)
            with staging_folder(folder) as staged:
                (staged / MARK).write_text(f"{self.rules.campaign}\n", encoding="utf-8")
                for name, table in (
                    ("contacts", contacts.select(list(_OF_PEOPLE))),
                    ("let_go", self.plan.let_go.select(list(_LET_GO))),
                ):
                    write_table(table, staged / f"{name}.parquet")
                    write_table_for_spreadsheets(table, staged / f"{name}.csv")
                write_table(treatments, staged / "treatments.csv")
                for path in sorted(staged.iterdir()):
                    path.chmod(PRIVATE)  # they name customers
                    put_in_place(path, folder / path.name)

    def report(self) -> dict[str, Any]:
        """Counts and money, and nothing of single customers."""
        chosen = self.plan.chosen
        treated = chosen.filter(pc.equal(chosen["arm"], TREATED))
        return {
            "campaign": self.rules.campaign,
            "as_of": day_text(self.as_of, zone=self.zone),
            "currency": self.currency,
            "contacted": treated.num_rows,
            "held_out": chosen.num_rows - treated.num_rows,
            "hold_out_share": self.plan.share_wanted,
            "detectable_difference": _finite(self.plan.hold_out.detectable),
            "customers_needed": self._needed(),
            "let_go": self.plan.let_go.num_rows,
            "later_campaigns": list(self.later),
            "counts": {**self.candidates.counts, **self.plan.counts},
            "expected_cost": _sum(treated, "expected_cost"),
            "expected_profit": _sum(treated, "expected_profit"),
            **dict(zip(ENDS, self._ends(treated), strict=True)),
            "prices": dict(self.plan.prices),
            "actions": {name: self._of_action(treated, name) for name in self.rules.actions},
            "response_not_effect": not all(self._learned_from(name) for name in self.rules.actions),
        }

    def _ends(self, treated: pa.Table) -> tuple[float, float]:
        """The ends of the expected profit: of learned effects as their errors add up, of the others
        all low together and all high together.
        """
        low = high = variance = 0.0
        for name, action in self.rules.actions.items():
            rows = treated.filter(pc.equal(treated["action"], name))
            effects = self.rules.effects
            if effects is None or name not in effects.actions:
                low += _sum(rows, ENDS[0]) - _sum(rows, "expected_profit")
                high += _sum(rows, ENDS[1]) - _sum(rows, "expected_profit")
                continue
            gains = rows["value"].to_numpy() - action.incentive
            inputs, odds = effects.inputs.matrix(rows), kept_odds(rows)
            variance += effects.actions[name].error_of_sum(inputs, odds, gains) ** 2
        middle, half = _sum(treated, "expected_profit"), Z * math.sqrt(variance)
        return middle + low - half, middle + high + half

    def _needed(self) -> int | None:
        """How many customers show `detectable_effect`, half of them held out; None without one."""
        wanted, chosen = self.rules.detectable_effect, self.plan.chosen
        if wanted is None or not chosen.num_rows:
            return None
        return needed_customers(risk=pc.mean(chosen["risk"]).as_py(), difference=wanted)

    def _of_action(self, treated: pa.Table, name: str) -> dict[str, Any]:
        action = self.rules.actions[name]
        rows = treated.filter(pc.equal(treated["action"], name))
        return {
            "channel": action.channel,
            "contacted": rows.num_rows,
            "expected_cost": _sum(rows, "expected_cost"),
            "expected_profit": _sum(rows, "expected_profit"),
            "acceptance": action.acceptance.mean,
            "measured_on": action.acceptance.n,
            "learned_from": self._learned_from(name),
            "harmful_in": self.rules.harmful.get(name),
        }

    def _learned_from(self, name: str) -> str | None:
        """The campaign that the effects of an action were learned from; None for an acceptance."""
        effects = self.rules.effects
        return effects.campaign if effects is not None and name in effects.actions else None

    def text(self) -> str:
        """The report in lines."""
        return decision_text(self.report(), self.rules.detectable_effect)


def refuse_other_campaign(folder: Path, campaign: str) -> None:
    """BadSetting where the folder has the lists of another campaign, or is none."""
    mark = folder / MARK
    if folder.exists() and not folder.is_dir():
        got = "something that is no folder"
    elif mark.is_file() and mark.read_text(encoding="utf-8").strip() != campaign:
        got = "a folder with the lists of another campaign"
    else:
        return
    raise BadSetting(
        where="--out",
        got=got,
        rule="The lists of a campaign have a folder of their own.",
        fix="Give --out another folder, for example one with the campaign's name.",
    )


def decide(history: History, settings: Settings, rules: Rules, as_of: int | None) -> Decision:
    """Decide a campaign by the scores of as_of (µs UTC; None: the midnight after the data).

    Nothing is written. NotEnoughData without scores of the day; BadSetting without actions;
    AsOfTooLate, SeveralCurrencies.
    """
    as_of, candidates, contacts = _read_day(history, settings, rules, as_of)
    rules = replace(rules, effects=effects_at(as_of))
    rules = _without_harm(history, settings, rules, as_of)
    print_status(say("choosing for {n} customers", n=number(candidates.rows.num_rows)))
    plan = make_plan(candidates.rows, contacts, rules, as_of)
    business = settings.business
    return Decision(
        rules,
        plan,
        candidates,
        as_of,
        settings.zone,
        business.currency,
        settings.minor_digits,
        _later_campaigns(as_of),
    )


def _later_campaigns(as_of: int) -> tuple[str, ...]:
    names = campaigns.list_campaigns()
    return tuple(name for name in names if campaigns.read_campaign(name).as_of > as_of)


def decide_campaign(
    history: History, settings: Settings, rules: Rules, as_of: int | None, out: Path
) -> Decision:
    """Decide a campaign, keep it, and write its lists; one campaign after the other.

    Errors as `decide` and `keep`; BadSetting for a folder that has the lists of another campaign.
    """
    refuse_other_campaign(out, rules.campaign)
    with campaigns.lock_campaigns():
        decision = decide(history, settings, rules, as_of)
        keep(decision, settings)
    decision.write(out)
    return decision


def _without_harm(history: History, settings: Settings, rules: Rules, as_of: int) -> Rules:
    """The rules without actions that are guessed to keep customers, and were measured to lose them.

    Who writes a measured acceptance (`{ mean = …, n = … }`), or has effects of single customers,
    knows more than the mean.
    """
    learned = {} if rules.effects is None else rules.effects.actions
    guesses = {
        name
        for name, action in rules.actions.items()
        if action.acceptance.n is None and name not in learned
    }
    harmful = harmful_actions(history, settings, as_of) if guesses else {}
    return replace(rules, harmful={name: harmful[name] for name in guesses & set(harmful)})


def check_actions(
    history: History, settings: Settings, rules: Rules, as_of: int | None
) -> list[Finding]:
    """What is odd about the actions, for the customers of as_of; errors as `decide`.

    As if nobody had been contacted: who rests today is nothing odd.
    """
    as_of, candidates, contacts = _read_day(history, settings, rules, as_of)
    options = price_options(candidates.rows, contacts.slice(0, 0), rules, as_of)
    return review_actions(candidates.rows, rules.actions, options)


def _read_day(
    history: History, settings: Settings, rules: Rules, as_of: int | None
) -> tuple[int, Candidates, pa.Table]:
    """The instant, the candidates and the contacts before it."""
    if not rules.actions:
        raise BadSetting(
            where="[actions]",
            got="no action",
            rule="What may be done, and what it costs, is written in the configuration.",
            fix=f"Write, with your own costs:\n{EXAMPLE}",
        )
    refuse_several_currencies(history)
    if as_of is None:
        as_of = newest_as_of(history, settings, however_old=True)
    refuse_too_late(history, settings, as_of)
    print_status(say("reading the scores of the day"))
    data = IndicatorData(history, settings, as_of)
    try:
        contacts = known_contacts(history, as_of, _plans_before(rules.campaign))
        candidates = load_candidates(data, contacts)
    finally:
        data.close()
    return as_of, candidates, contacts


def _plans_before(campaign: str) -> pa.Table:
    """What other campaigns decided; to decide one again is to decide it the same way."""
    plans = campaigns.read_plans()
    return plans.filter(pc.not_equal(plans["campaign"], campaign))


def findings_text(findings: list[Finding]) -> str:
    """A line for each finding."""
    if not findings:
        return say("nothing is odd about the actions")
    return "\n".join(
        f"{each.action}: {each.sentence}" if each.action else each.sentence for each in findings
    )


def read_rules(
    settings: Settings,
    campaign: str,
    *,
    budget: float | None,
    capacity: Mapping[str, int],
) -> Rules:
    """The rules of one campaign: the settings, and what was typed for it.

    BadSetting for a name no campaign may have, a negative budget or capacity, and for a channel
    that no action has.
    """
    decisions = settings.decisions
    budget = decisions.budget if budget is None else budget
    capacity = {**decisions.capacity, **capacity}
    channels = sorted({action.channel for action in settings.actions.values()})
    for name, most in capacity.items():
        if name not in channels or most < 0:
            raise BadSetting(
                where="--capacity",
                got=f"'{name}={most}'",
                rule="A capacity is the most customers of the channel of an action, 0 or more.",
                fix=f"Channels here: {', '.join(channels) or 'none'}.",
            )
    if budget is not None and not 0 <= budget <= 1e12:
        raise BadSetting(
            where="--budget",
            got="an amount below 0, or no amount",
            rule="A budget is money of the campaign, 0 or more.",
            fix="For example: --budget 5000.",
            values=[str(budget)],
        )
    return Rules(
        campaigns.check_campaign_name(campaign),
        settings.actions,
        decisions.hold_out,
        decisions.detectable_effect,
        rest_days=decisions.contact_days,
        held_out_days=settings.churn.horizon_days,
        budget=budget,
        capacity=capacity,
    )


def answer_of(decision: Decision, rejected: int) -> tuple[dict[str, Any], str]:
    """The report and its text. rejected: rows of treatments that were not read."""
    report = {**decision.report(), "rejected_treatments": rejected}
    return report, decision_text(report, decision.rules.detectable_effect)


def read_capacities(texts: Iterable[str]) -> dict[str, int]:
    """The most customers by channel from `channel=n` texts; a later one wins. BadSetting."""
    capacities = {}
    for text in texts:
        name, _, most = text.rpartition("=")
        if not name or not (most.isascii() and most.isdecimal()) or len(most) > 9:
            raise BadSetting(
                where="--capacity",
                got="no CHANNEL=N",
                rule="A capacity is the most customers of a channel, a whole number.",
                fix="For example: --capacity phone=200.",
                values=[text],
            )
        capacities[name] = int(most)
    return capacities


def keep(decision: Decision, settings: Settings) -> bool:
    """Write the campaign into the home folder; False where the same one is there.

    NotEnoughData where nobody is chosen: the name stays free.
    """
    if not decision.plan.chosen.num_rows:
        counts = {**decision.candidates.counts, **decision.plan.counts}
        why = ", ".join(f"{reason}: {count:,}" for reason, count in counts.items() if count)
        raise NotEnoughData(
            where=f"campaign {decision.rules.campaign}",
            got=f"nobody to contact ({why})",
            rule="A campaign is kept where somebody is chosen for it.",
            fix="Type lifecycle decide --check: it says what is odd about the actions.",
        )
    about = {
        "as_of": decision.as_of,
        "horizon_days": settings.churn.horizon_days,
        "label_latency_days": settings.churn.label_latency_days,
        "zone": settings.zone,
        "currency": decision.currency,
        "counts": {**decision.candidates.counts, **decision.plan.counts},
        "hold_out_share": decision.plan.share_wanted,
        "actions": {name: each.model_dump() for name, each in decision.rules.actions.items()},
        "budget": decision.rules.budget,
        "capacity": dict(decision.rules.capacity),
    }
    return campaigns.write_campaign(decision.rules.campaign, campaign_rows(decision), about)


def campaign_rows(decision: Decision) -> pa.Table:
    """The plan in the columns of a campaign, by customer_id."""
    chosen = decision.plan.chosen
    size = chosen.num_rows
    is_treated = pc.equal(chosen["arm"], TREATED)
    of_plan = {
        "occurred_at": pa.repeat(pa.scalar(decision.as_of, pa.int64()), size),
        "recorded_at": pa.repeat(pa.scalar(decision.as_of, pa.int64()), size),
        "campaign": pa.repeat(pa.scalar(decision.rules.campaign), size),
        "channel": _channels(chosen, decision.rules),
        # In whole minor units, as every amount of the tables.
        "cost": pc.round(
            pc.if_else(is_treated, chosen["expected_cost"], 0.0), ndigits=decision.minor_digits
        ),
    }
    columns = {
        name: of_plan[name] if name in of_plan else chosen[name] for name in campaigns.SCHEMA.names
    }
    return pa.table(columns).cast(campaigns.SCHEMA).sort_by("customer_id")


def _channels(chosen: pa.Table, rules: Rules) -> pa.Array:
    return pa.array(
        [rules.actions[name].channel for name in chosen["action"].to_pylist()], pa.string()
    )


def _sum(rows: pa.Table, column: str) -> float:
    return float(pc.sum(rows[column]).as_py() or 0.0)


def _finite(value: float) -> float | None:
    return value if value == value else None
