"""The customers of a day, with what conditions read of them and what an action is priced by.

A row for each customer who may be listed and has a score; the fields of `features.core.condition`,
and `p_low`, `p_high`: the interval of the risk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import LeakSuspected, NotEnoughData
from features.core.instants import DAY_US, local_date
from features.indicators.indicator_data import IndicatorData, load
from features.tables.history import History
from serving.batch import run_manifest
from serving.campaigns.store import HELD_OUT
from serving.release.score_table import REASON_COLUMNS
from serving.value.customer_list import customer_list_table
from serving.value.scored_tables import load_scores, run_of_day

_ROWS = f"""
SELECT scores.customer_id, scores.stage, scores.eligible, listed.tier, listed.channel,
       people.segment, listed.rfm_segment, scores.p_churn AS risk,
       coalesce(scores.p_churn_low, scores.p_churn) AS p_low,
       coalesce(scores.p_churn_high, scores.p_churn) AS p_high,
       scores.clv_if_stays AS "value", scores.clv_if_stays - scores.clv AS at_stake,
       {{reason}} AS reason, {", ".join(f"scores.{name}" for name in REASON_COLUMNS)},
       ({{as_of}} - activity.last_at) / {float(DAY_US)} AS days_since_activity,
       ({{as_of}} - complaints.last_at) / {float(DAY_US)} AS days_since_complaint,
       ({{as_of}} - contacts.last_at) / {float(DAY_US)} AS days_since_contact,
       ({{as_of}} - coalesce(contacts.last_at, activity.first_at)) / {float(DAY_US)}
           AS days_without_contact
FROM scores JOIN people USING (who) JOIN listed ON listed.customer_id = scores.customer_id
LEFT JOIN (
    SELECT who, max(occurred_at) AS last_at, min(occurred_at) AS first_at
    FROM activity GROUP BY who
) AS activity
     USING (who)
LEFT JOIN complaints ON complaints.customer_id = scores.customer_id
LEFT JOIN contacts ON contacts.customer_id = scores.customer_id
WHERE people.listed
ORDER BY scores.customer_id
"""


@dataclass(frozen=True)
class Candidates:
    """rows: the module's table, by customer_id. counts: who is not in it, by the reason why."""

    rows: pa.Table
    counts: Mapping[str, int]


def load_candidates(data: IndicatorData, contacts: pa.Table) -> Candidates:
    """Whom an action may be for. contacts: `known_contacts`.

    NotEnoughData without scores of the day with a value.
    """
    missing = load_scores(data)
    if missing is None and not data.value("SELECT count(clv_if_stays) FROM scores"):
        missing = (
            "a value (clv_if_stays) in the scores of the day: the card of the release says why"
        )
    if missing is not None:
        raise NotEnoughData(
            where="the scores of the day",
            got=f"no {missing}",
            rule="An action is chosen by the risk and the value of a score of the day.",
            fix="Type: lifecycle run (or lifecycle score --as-of DAY; of a day that a release has "
            "learned from, lifecycle backfill --from DAY --to DAY), then the same command.",
        )
    _refuse_in_sample(data)
    listed = customer_list_table(data)["customers"].select(
        ["customer_id", "tier", "channel", "rfm_segment"]
    )
    load(data.connection, listed, "CREATE TABLE listed AS SELECT * FROM incoming")
    for name, table in (("complaints", _complaints(data)), ("contacts", _last_contacts(contacts))):
        load(data.connection, table, f"CREATE TABLE {name} AS SELECT * FROM incoming")
    reason = "CASE WHEN reason_1 LIKE 'raises%' THEN reason_1 END"
    rows = data.rows(_ROWS.format(as_of=data.as_of, reason=reason))
    everybody = data.value("SELECT count(*) FROM people")
    allowed = data.value("SELECT count(*) FROM people WHERE listed")
    has_score = pc.is_valid(rows["risk"])
    counts = {
        "no consent": everybody - allowed,
        "no score": allowed - pc.sum(has_score).as_py() if rows.num_rows else allowed,
    }
    return Candidates(rows.filter(has_score), counts)


def _refuse_in_sample(data: IndicatorData) -> None:
    """LeakSuspected for scores of a release that has learned the outcomes of this day."""
    run = run_of_day(data.settings, data.as_of)
    about = None if run is None else run_manifest.read_about(run)
    if about is not None and about.get("in_sample"):
        day = local_date(data.as_of, data.settings.zone).isoformat()
        raise LeakSuspected(
            where=f"the scores of {day}",
            got="scores of a release that has learned the outcomes of this day",
            rule="A decision, and what is learned from it, rests on what was known at that time.",
            fix=f"Remove that run, and type: lifecycle backfill --from {day} --to {day}",
        )


def _complaints(data: IndicatorData) -> pa.Table:
    """customer_id and last_at (µs) of the last complaint that was known."""
    empty = {"customer_id": pa.array([], pa.string()), "last_at": pa.array([], pa.int64())}
    if "feedback" not in data.known.tables:
        return pa.table(empty)
    rows = data.known.tables["feedback"].select("customer_id", "occurred_at", "kind")
    table = rows.collect(backend="pyarrow").to_native()
    table = table.filter(pc.equal(table["kind"], "complaint"))
    counts = table.group_by("customer_id").aggregate([("occurred_at", "max")])
    return counts.rename_columns({"occurred_at_max": "last_at"})


def _last_contacts(contacts: pa.Table) -> pa.Table:
    """customer_id and last_at (µs) of the last contact."""
    contacted = contacts.filter(pc.not_equal(contacts["arm"], HELD_OUT))
    last = contacted.group_by("customer_id").aggregate([("occurred_at", "max")])
    return last.rename_columns({"occurred_at_max": "last_at"})


def known_contacts(history: History, as_of: int, plans: pa.Table) -> pa.Table:
    """customer_id, occurred_at (µs), campaign, action and arm of what was decided before.

    Of the business's own table of treatments, known before `as_of`, and of the plans in the home
    folder, those of the same instant too: they were decided before this one. A row that both have
    is counted once. arm: `treated` where the table does not say.
    """
    names = ["customer_id", "occurred_at", "campaign", "arm"]
    plans = plans.filter(pc.less_equal(plans["recorded_at"], as_of))
    own = history.as_of(as_of).further.get("treatments")
    if own is None:
        return plans.select([*names, "action"])
    rows = own.select(*names, "action").collect(backend="pyarrow").to_native()
    rows = rows.set_column(3, "arm", pc.fill_null(rows["arm"], "treated"))
    key = pc.binary_join_element_wise(rows["customer_id"], rows["campaign"], "\0")
    of_plans = pc.binary_join_element_wise(plans["customer_id"], plans["campaign"], "\0")
    rows = rows.filter(pc.invert(pc.is_in(key, of_plans.combine_chunks())))
    return pa.concat_tables(
        [plans.select(rows.column_names), rows.cast(plans.select(rows.column_names).schema)]
    )
