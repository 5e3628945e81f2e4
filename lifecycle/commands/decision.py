"""A campaign that was decided: what is said of it, and its lists for people and programs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import BadSetting
from features.core.instants import day_text
from features.core.staged_files import PRIVATE, put_in_place, staging_folder
from features.indicators.intervals import Z
from lifecycle.commands.decide_text import decision_text
from serving.batch.writers import out_errors, write_table, write_table_for_spreadsheets
from serving.campaigns import store as campaigns
from serving.campaigns.store import HELD_OUT
from serving.decisions.candidates import Candidates
from serving.decisions.effect_model import kept_odds
from serving.decisions.hold_out import needed_customers
from serving.decisions.plan import TREATED, Plan, Rules

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
    minor_digits: int
    later: tuple[str, ...]

    def write(self, folder: Path, scores: pa.Table) -> None:
        """`contacts` and `let_go` as parquet and CSV, `treatments.csv`, and the scores of the day
        with what was decided; all of them or none.

        BadSetting for a folder that has the lists of another campaign.
        """
        contacts = self.plan.chosen.filter(pc.equal(self.plan.chosen["arm"], TREATED))
        contacts = contacts.append_column("channel_", _channels(contacts, self.rules))
        contacts = contacts.drop_columns(["channel"]).rename_columns({"channel_": "channel"})
        treatments = campaign_rows(self).select(list(_OF_TREATMENTS))
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
                decided = with_decisions(scores, self.plan.chosen)
                write_table(decided, staged / "scores.parquet")
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
            "profit_curve": self._curve(),
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

    def _curve(self) -> dict[str, Any]:
        curve = self.plan.curve
        everybody, profit = curve.everybody
        return {
            "best": curve.best,
            "best_profit": curve.best_profit,
            "everybody": everybody,
            "profit_of_everybody": profit,
            "contacted": curve.contacted.tolist(),
            "expected_profit": curve.profit.tolist(),
        }

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


def with_decisions(scores: pa.Table, chosen: pa.Table) -> pa.Table:
    """The scores with `action`, `expected_profit` and `hold_out`; null for who is not chosen.

    Who is held out has neither action nor profit, so that nobody contacts them by mistake.
    """
    places = pc.index_in(scores["customer_id"], chosen["customer_id"].combine_chunks())
    held_out = pc.equal(chosen["arm"], HELD_OUT)
    action = pc.if_else(held_out, pa.scalar(None, pa.string()), chosen["action"])
    profit = pc.if_else(held_out, pa.scalar(None, pa.float64()), chosen["expected_profit"])
    for name, values in (
        ("action", action),
        ("expected_profit", profit),
        ("hold_out", held_out),
    ):
        scores = scores.append_column(name, values.take(places))
    return scores


def answer_of(decision: Decision, rejected: int) -> tuple[dict[str, Any], str]:
    """The report and its text. rejected: rows of treatments that were not read."""
    report = {**decision.report(), "rejected_treatments": rejected}
    return report, decision_text(report, decision.rules.detectable_effect)


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
