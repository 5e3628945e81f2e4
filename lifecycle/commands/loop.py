"""`lifecycle loop`: run → list → contacts → outcomes → effect → next release, of each campaign.

A link is done, open (its time has not come), or broken: something was not done or written down,
and what follows rests on nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import BadSetting, NotEnoughData, ReleaseRefused
from features.core.instants import DAY_US, day_text
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.tables.history import History
from serving.campaigns import store
from serving.campaigns.store import HELD_OUT
from serving.decisions.effect_model import effects_path, read_effect_model
from serving.release.json_files import read_json
from serving.release.release_store import releases_folder, served_release_id
from serving.release.seen_future import FILE as SEEN_FILE
from serving.value.scored_tables import run_of_day
from training.campaigns.campaign_rows import campaign_rows, campaigns_of_table
from training.effects.measure import OPEN as UNDECIDED
from training.effects.measure import measure

DONE, OPEN, BROKEN = "done", "open", "broken"
LINKS = ("scores", "list", "contacts", "outcomes", "effect", "release")


@dataclass(frozen=True)
class Link:
    """name: one of LINKS. state: DONE, OPEN or BROKEN. facts: numbers and names for a sentence."""

    name: str
    state: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Loop:
    """One campaign: the local day it was decided, and its links in the order of LINKS."""

    campaign: str
    decided: str
    links: tuple[Link, ...]

    def report(self) -> dict[str, Any]:
        """For JSON: counts and days, and nothing of single customers."""
        links = {each.name: {"state": each.state, **each.facts} for each in self.links}
        return {"campaign": self.campaign, "decided": self.decided, **links}


def campaign_loops(history: History, settings: Settings) -> list[Loop]:
    """The loop of every campaign that is known, in the order of their decisions.

    NotEnoughData without any campaign.
    """
    names = sorted({*store.list_campaigns(), *campaigns_of_table(history)})
    if not names:
        raise NotEnoughData(
            where="loop",
            got="no campaign that was decided here, and none in the table treatments",
            rule="The loop begins with a campaign.",
            fix="Type: lifecycle decide --campaign NAME --out FOLDER.",
        )
    loops = []
    for name in names:
        print_status(say("following campaign {name}", name=name))
        loops.append(_follow(history, settings, name))
    return sorted(loops, key=lambda each: (each.decided, each.campaign))


def _follow(history: History, settings: Settings, name: str) -> Loop:
    try:
        rows, planned = campaign_rows(history, name)
    except ReleaseRefused as error:
        return Loop(name, "", (Link("list", BROKEN, {"why": error.got}),))
    at = pc.min(rows["recorded_at"]).as_py()
    held_out = pc.fill_null(pc.equal(rows["arm"], HELD_OUT), False)
    outcomes = _outcomes(history, settings, pc.max(rows["recorded_at"]).as_py())
    effect = _effect(history, settings, name, is_complete=outcomes.state == DONE)
    links = (
        _scores(settings, at),
        _list(rows, held_out),
        _contacts(history, name, rows.filter(pc.invert(held_out)), rows.filter(held_out), at)
        if planned
        else Link("contacts", DONE, {"contacted": rows.num_rows - pc.sum(held_out).as_py()}),
        outcomes,
        effect,
        _release(settings, outcomes),
    )
    return Loop(name, day_text(at, zone=settings.zone), links)


def _scores(settings: Settings, at: int) -> Link:
    """The run of the day of the decision: what was known of everybody then."""
    run = run_of_day(settings, at)
    day = day_text(at, zone=settings.zone)
    if run is None:
        return Link("scores", BROKEN, {"day": day})
    return Link("scores", DONE, {"day": day, "run": run.name.removeprefix("run=")})


def _list(rows: pa.Table, held_out: pa.ChunkedArray) -> Link:
    count = pc.sum(held_out).as_py() or 0
    facts = {"to_contact": rows.num_rows - count, "held_out": count}
    return Link("list", DONE if count else BROKEN, facts)


def _contacts(history: History, name: str, ours: pa.Table, theirs: pa.Table, at: int) -> Link:
    """Whether the table treatments says who was contacted, and whether it is who should be.

    What was decided `at` (µs UTC) is in no data that end before.
    """
    table = history.as_of(history.data_until).further.get("treatments")
    facts = {"to_contact": ours.num_rows, "contacted": 0, "contacted_of_held_out": 0}
    if at >= history.data_until:
        day = day_text(history.data_until, zone=history.terms.zone)
        return Link("contacts", OPEN, {**facts, "data_until": day})
    if table is None:
        return Link("contacts", BROKEN, facts)
    rows = table.select("customer_id", "campaign", "arm").collect(backend="pyarrow").to_native()
    rows = rows.filter(pc.equal(rows["campaign"], name))
    rows = rows.filter(pc.not_equal(pc.fill_null(rows["arm"], "treated"), HELD_OUT))
    contacted = rows["customer_id"].combine_chunks()
    for key, part in (("contacted", ours), ("contacted_of_held_out", theirs)):
        facts[key] = pc.sum(pc.is_in(part["customer_id"], contacted)).as_py() or 0
    is_whole = facts["contacted"] and not facts["contacted_of_held_out"]
    return Link("contacts", DONE if is_whole else BROKEN, facts)


def _outcomes(history: History, settings: Settings, at: int) -> Link:
    """Whether the outcomes of the last decision are complete."""
    days = settings.churn.horizon_days + settings.churn.label_latency_days
    complete = at + days * DAY_US
    missing = -(-(complete - history.data_until) // DAY_US)
    facts = {"complete_on": day_text(complete, zone=settings.zone)}
    if missing > 0:
        return Link("outcomes", OPEN, {**facts, "days_more": missing})
    return Link("outcomes", DONE, facts)


def _effect(history: History, settings: Settings, name: str, *, is_complete: bool) -> Link:
    if not is_complete:
        return Link("effect", OPEN)
    try:
        measured = measure(history, settings, name)
    except (BadSetting, NotEnoughData) as error:
        return Link("effect", BROKEN, {"why": error.got})
    report = measured.report()
    facts = {
        "verdict": measured.verdict,
        "difference": report["kept"]["difference"],
        "customers_needed_more": report["customers_needed_more"],
        "used_by_decide": _is_used(name),
    }
    return Link("effect", OPEN if measured.verdict == UNDECIDED else DONE, facts)


def _is_used(name: str) -> bool:
    """Whether `decide` sends by what this campaign taught."""
    try:
        return effects_path().is_file() and read_effect_model(effects_path()).campaign == name
    except ReleaseRefused:
        return False  # `decide` says that the file is damaged


def _release(settings: Settings, outcomes: Link) -> Link:
    """Whether the served release has learned the outcomes of the campaign."""
    served = served_release_id()
    if outcomes.state != DONE:
        return Link("release", OPEN, {"served": served})
    if served is None:
        return Link("release", BROKEN, {"served": None})
    seen = read_json(releases_folder() / served / SEEN_FILE, served)
    learned = day_text(int(seen["outcomes_until"]), zone=settings.zone)
    facts = {"served": served, "outcomes_until": learned}
    is_later = learned >= outcomes.facts["complete_on"]
    return Link("release", DONE if is_later else BROKEN, facts)
