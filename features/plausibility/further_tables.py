"""Rows of treatments, costs, leads and referrals that contradict themselves or each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from features.plausibility.finding import Finding
from features.tables.history import History
from features.tables.queries import first_value
from features.tables.typed_tables import RowCounts


@dataclass(frozen=True)
class _Oddity:
    """name: of the finding. table: where it is. count: SQL that counts it. sentence: after the
    count. fix: what to type.
    """

    name: str
    table: str
    count: str
    sentence: str
    fix: str


BY_THEMSELVES = "referred_by_themselves"  # the reason of the contract
ODDITIES = (
    _Oddity(
        "negative_treatment_cost",
        "treatments",
        "SELECT count(*) FROM treatments WHERE cost < 0",
        "rows have a cost below 0, which makes a campaign look cheaper than it was.",
        "Write abs(cost) in the SELECT if the sign is that of a booking; leave such rows out if "
        "they are refunds.",
    ),
    _Oddity(
        "customer_in_both_arms",
        "treatments",
        "SELECT count(*) FROM (SELECT 1 FROM treatments WHERE arm IS NOT NULL "
        "GROUP BY campaign, customer_id HAVING count(DISTINCT arm) > 1)",
        "pairs of customer and campaign are in both arms, treated and held_out: the arms cannot be "
        "compared.",
        "Give each wave of a campaign a name of its own in the SELECT, such as campaign || ' ' || "
        "wave, or correct the arm.",
    ),
    _Oddity(
        "negative_cost",
        "costs",
        "SELECT count(*) FROM costs WHERE amount < 0",
        "rows have an amount below 0: a channel that earns money by its cost.",
        "Write abs(amount) in the SELECT if the sign is that of a booking; leave credit notes out.",
    ),
    _Oddity(
        "customer_of_several_leads",
        "leads",
        "SELECT count(*) FROM (SELECT 1 FROM leads WHERE customer_id IS NOT NULL "
        "GROUP BY customer_id HAVING count(DISTINCT lead_id) > 1)",
        "customers came from more than one lead, so a channel counts them twice.",
        "Select one lead for each customer, such as the first: QUALIFY row_number() OVER "
        "(PARTITION BY customer_id ORDER BY occurred_at) = 1.",
    ),
    _Oddity(
        "referred_by_several",
        "referrals",
        "SELECT count(*) FROM (SELECT 1 FROM referrals WHERE referrer_id <> referred_id "
        "GROUP BY referred_id HAVING count(DISTINCT referrer_id) > 1)",
        "customers were referred by more than one other customer.",
        "Select one referral for each referred_id, such as the first.",
    ),
)


def find_further(history: History, counts: Mapping[str, RowCounts]) -> Iterator[Finding]:
    """One finding for each oddity that is there, with its count and the rows of the table."""
    yield from _self_referrals(counts)
    for oddity in ODDITIES:
        if oddity.table not in history.further:
            continue
        count = int(first_value(history.connection, oddity.count))
        if count:
            rows = int(first_value(history.connection, f"SELECT count(*) FROM {oddity.table}"))
            yield Finding(
                oddity.name,
                oddity.table,
                f"{count:,} {oddity.sentence}",
                oddity.fix,
                counts={"rows": rows, "odd": count},
            )


def _self_referrals(counts: Mapping[str, RowCounts]) -> Iterator[Finding]:
    """The rows that the contract has rejected already: here with what to type."""
    table = counts.get("referrals")
    count = table.rejected.get(BY_THEMSELVES, 0) if table else 0
    if table and count:
        yield Finding(
            "self_referral",
            "referrals",
            f"{count:,} rows are of customers who referred themselves; they are rejected.",
            "Leave them out of the SELECT: WHERE referrer_id <> referred_id.",
            counts={"rows": table.read, "odd": count},
        )
