"""The rows of a campaign: of a plan in the home folder, or of the table treatments."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import BadSetting
from features.core.instants import DAY_US
from features.core.settings import Settings
from features.tables.history import History
from serving.campaigns import store as campaigns

LEFT_OUT = (
    *("outcome not complete", "no stage at the decision", "arm not known", "in both arms"),
    *("of a decision with one arm", "contact after the horizon"),
)


def campaign_rows(history: History, campaign: str) -> tuple[pa.Table, bool]:
    """The rows of a campaign in the columns of a plan, and whether a plan drew its arms.

    recorded_at is the decision: no later than the contact.
    """
    if campaign in campaigns.list_campaigns():
        decided = campaigns.read_campaign(campaign)
        # A plan of later days is not known yet.
        if decided.as_of <= history.data_until:
            return decided.plan, True
    rows = rows_of_table(history, campaign)
    if rows is None or not rows.num_rows:
        raise BadSetting(
            where="--campaign",
            got="a campaign that nobody decided",
            rule="A campaign is one of `lifecycle decide`, or one in the table treatments.",
            fix="`lifecycle measure` without --campaign names them all.",
            values=[campaign],
        )
    # A decision that was written down after the contact was made before it.
    begins = pc.min_element_wise(rows["recorded_at"], rows["occurred_at"])
    return rows.set_column(rows.column_names.index("recorded_at"), "recorded_at", begins), False


def rows_of_table(history: History, campaign: str) -> pa.Table | None:
    """The rows of a campaign in the table treatments; None without the table."""
    table = history.as_of(history.data_until).further.get("treatments")
    if table is None:
        return None
    names = ["customer_id", "occurred_at", "recorded_at", "campaign", "arm", "action", "cost"]
    rows = table.select(*names).collect(backend="pyarrow").to_native()
    return rows.filter(pc.equal(rows["campaign"], campaign))


def campaigns_of_table(history: History) -> list[str]:
    """The names in the table treatments, by name; none without it."""
    table = history.as_of(max(history.data_until, 0)).further.get("treatments")
    if table is None:
        return []
    rows = table.select("campaign").unique().collect(backend="pyarrow").to_native()
    return sorted(rows["campaign"].to_pylist())


def clear_decisions(rows: pa.Table, settings: Settings) -> tuple[pa.Table, dict[str, int]]:
    """One row of each customer whose arm is clear, and how many are left out, by LEFT_OUT.

    Without any arm all rows count as treated.
    """
    left_out = dict.fromkeys(LEFT_OUT, 0)
    known_arm = pc.is_valid(rows["arm"])
    if pc.any(known_arm).as_py():
        left_out["arm not known"] = rows.num_rows - pc.sum(known_arm).as_py()
        rows = rows.filter(known_arm)
    ahead = pc.subtract(rows["occurred_at"], rows["recorded_at"])
    in_time = pc.less(ahead, settings.churn.horizon_days * DAY_US)
    left_out["contact after the horizon"] = rows.num_rows - (pc.sum(in_time).as_py() or 0)
    rows, left_out["in both arms"] = _first_decisions(rows.filter(in_time))
    return rows, left_out


def _first_decisions(rows: pa.Table) -> tuple[pa.Table, int]:
    """The first row of each customer, and how many were left out: in both arms at one instant.

    A later row of a customer changes no arm.
    """
    rows = rows.sort_by([("recorded_at", "ascending"), ("customer_id", "ascending")])
    firsts: dict[str, tuple[int, set[str | None], int]] = {}
    cells = zip(
        *(rows[name].to_pylist() for name in ("customer_id", "recorded_at", "arm")), strict=True
    )
    for place, (customer, at, arm) in enumerate(cells):
        first = firsts.setdefault(customer, (at, set(), place))
        if first[0] == at:
            first[1].add(arm)
    clear = [place for _, arms, place in firsts.values() if len(arms) == 1]
    return rows.take(pa.array(sorted(clear), pa.int64())), len(firsts) - len(clear)
