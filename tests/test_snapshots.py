"""Contracts whose rows were overwritten are refused, and terms are built from payments instead."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from features.audit.run import audit
from features.core.errors import SnapshotRefused, UsageError
from features.core.instants import DAY_US, instant
from features.core.settings import Settings, settings_from_mapping
from features.recipes.cover import current_cover
from features.tables.history import History, load_history
from features.tables.snapshots import find_signs, has_recorded_at, refuse_snapshots
from lifecycle.commands.check import build_report
from training.job import TrainingRun

START = date(2023, 1, 1)
SUBSCRIPTIONS = (
    "SELECT who AS customer_id, starts AS starts_at, ends AS ends_at, plan, "
    "cancelled AS cancelled_at{more} FROM files.subscriptions"
)
PAYMENTS = (
    "SELECT who AS customer_id, paid AS occurred_at, amount, number AS transaction_id, "
    "seen AS recorded_at, kind, plan AS category FROM files.payments"
)


def subscribers() -> list[tuple[str, date, int, bool]]:
    """(id, first payment, months paid, whether running): forty lives of one to thirteen months."""
    return [
        (f"c{k:02d}", START + timedelta(days=3 * k), 1 + k * 5 % 13, k % 2 == 0) for k in range(40)
    ]


def business(
    folder: Path, subscriptions: list[str], *, select: str = SUBSCRIPTIONS, **contract: object
) -> Settings:
    header = "who,starts,ends,plan,cancelled,recorded\n"
    (folder / "subscriptions.csv").write_text(header + "\n".join(subscriptions) + "\n")
    rows = [
        f"{who},{paid},20,{who}-{number},{paid},,flex"
        for who, first, months, _ in subscribers()
        for number in range(months)
        for paid in [first + timedelta(days=30 * number)]
    ]
    more = [
        "c00,2023-03-01,20,late,2023-03-08,purchase,flex",
        # Paid by mistake, and taken back nine days later.
        "c01,2024-06-01,20,void,2024-06-01,purchase,flex",
        "c01,2024-06-01,20,void,2024-06-10,void,flex",
    ]
    header = "who,paid,amount,number,seen,kind,plan\n"
    (folder / "payments.csv").write_text(header + "\n".join([*rows, *more]) + "\n")
    mapping = {
        "business": {"archetype": "contractual", "zone": "UTC"},
        "files": {"subscriptions": "subscriptions.csv", "payments": "payments.csv"},
        "tables": {"transactions": PAYMENTS, "contracts": select.format(more="")},
        "churn": {"horizon_days": 30},
        "contract": {"data_until": "2024-07-01", **contract},
    }
    return settings_from_mapping(mapping, folder=folder, where="test")


def overwritten(*, cancellations: bool = True, open_ended: bool = False) -> list[str]:
    """One row a subscription; its end moved with every payment, and says now when it ended."""
    rows = []
    for who, first, months, running in subscribers():
        ends = first + timedelta(days=30 * months)
        cancelled = ends - timedelta(days=9) if cancellations and not running else ""
        end = "" if open_ended and running else ends
        rows.append(f"{who},{first},{end},flex,{cancelled},{ends}")
    return rows


def newest_period() -> list[str]:
    """One row a subscription with its newest period: every term has the plan's usual length."""
    return [
        f"{who},{begins},{begins + timedelta(days=30)},flex,,{begins}"
        for who, first, months, _ in subscribers()
        for begins in [first + timedelta(days=30 * (months - 1))]
    ]


def terms(recorded: int = 0) -> list[str]:
    """A row a term, recorded so many days before it starts."""
    rows = []
    for who, first, months, _ in subscribers():
        for k in range(months):
            starts = first + timedelta(days=30 * k)
            known = starts - timedelta(days=recorded)
            rows.append(f"{who},{starts},{starts + timedelta(days=30)},flex,,{known}")
    return rows


def history_of(settings: Settings) -> History:
    return load_history(settings)[0]


def as_they_came() -> list[str]:
    """Three plans one after the other; an end is written when a plan ends, and none before."""
    rows = []
    for number, (who, first, months, _) in enumerate(subscribers()):
        begins = first
        for term in range(4):
            ends = begins + timedelta(days=20 + 3 * months)
            running = term == 3 and number >= 20
            rows.append(f"{who},{begins},{'' if running else ends},plan {term % 2},,")
            begins = ends
    return rows


def test_ends_that_were_written_when_they_came_are_refused(tmp_path):
    history = history_of(business(tmp_path, as_they_came()))
    with pytest.raises(SnapshotRefused, match="1 of 21 running terms have an end") as refused:
        refuse_snapshots(history)
    assert "AS cancelled_at" in refused.value.fix
    # Read as open-ended until they were cancelled, and where somebody says when, they pass.
    (tmp_path / "read").mkdir()
    select = SUBSCRIPTIONS.replace("ends AS ends_at, ", "").replace(
        "cancelled AS cancelled_at", "ends AS cancelled_at"
    )
    refuse_snapshots(history_of(business(tmp_path / "read", as_they_came(), select=select)))
    select = SUBSCRIPTIONS.replace("{more}", ", CAST(starts AS DATE) - 1 AS recorded_at{more}")
    (tmp_path / "stated").mkdir()
    refuse_snapshots(history_of(business(tmp_path / "stated", as_they_came(), select=select)))


SNAPSHOTS = {
    "with cancellations": (overwritten(), (True, True, True, False, True)),
    "without": (overwritten(cancellations=False), (True, True, False, False, True)),
    "blank while running": (overwritten(open_ended=True), (True, True, True, False, True)),
    "the newest period alone": (newest_period(), (True, False, False, True, True)),
}


@pytest.mark.parametrize(("rows", "signs"), SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_a_snapshot_is_told_by_five_signs_and_refused(tmp_path, rows, signs):
    history = history_of(business(tmp_path, rows))
    assert tuple(sign.present for sign in find_signs(history)) == signs
    with pytest.raises(SnapshotRefused, match="40 rows of 40 subscriptions") as refused:
        refuse_snapshots(history)
    assert 'terms_from = "payments"' in refused.value.fix
    assert "recorded_at" in refused.value.fix
    assert "c00" not in str(refused.value)


def test_check_train_and_audit_refuse_it(tmp_path):
    settings = business(tmp_path, overwritten())
    history, counts = load_history(settings)
    with pytest.raises(SnapshotRefused):
        build_report(history, counts, settings)
    with pytest.raises(SnapshotRefused):
        _ = TrainingRun(history, settings).plan
    with pytest.raises(SnapshotRefused):
        audit(history, settings)


def annual() -> list[str]:
    """A business in its first year: one agreed term a customer, some cancelled near the end."""
    rows = []
    for k in range(40):
        starts = START + timedelta(days=5 * k)
        ends = starts + timedelta(days=365)
        rows.append(f"a{k},{starts},{ends},annual,{ends - timedelta(days=20) if k % 3 else ''},")
    return rows


def unending() -> list[str]:
    """Open-ended subscriptions, cancelled at some day: nothing in a row is known too early."""
    return [
        f"o{k},{START},,flex,{START + timedelta(days=11 * k) if k % 2 else ''}," for k in range(40)
    ]


@pytest.mark.parametrize("rows", [terms(), annual(), unending()], ids=["terms", "annual", "open"])
def test_agreed_terms_are_no_snapshot(tmp_path, rows):
    history = history_of(business(tmp_path, rows))
    refuse_snapshots(history)
    assert not has_recorded_at(history)


def test_recorded_at_is_one_way_out(tmp_path):
    select = SUBSCRIPTIONS.replace("{more}", ", recorded AS recorded_at")
    history = history_of(business(tmp_path, overwritten(), select=select))
    refuse_snapshots(history)
    assert has_recorded_at(history)


# Terms from payments -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paid(tmp_path_factory):
    settings = business(tmp_path_factory.mktemp("paid"), overwritten(), terms_from="payments")
    return load_history(settings), settings


def covered(history: History, day: str) -> dict[str, int]:
    """customer -> until when, of those with running cover."""
    at = instant(day, zone="UTC")
    rows = current_cover(history.as_of(at)).collect(backend="pyarrow").to_native().to_pylist()
    return {row["customer_id"]: row["cover_until"] for row in rows if row["cover_until"] > at}


def test_a_payment_is_a_term_of_one_period(paid):
    (history, counts), _ = paid
    refuse_snapshots(history)
    months = sum(months for _, _, months, _ in subscribers())
    # A payment that was corrected has a row that ends its first version: every row made is kept.
    assert counts["contracts"].read == counts["contracts"].kept == months + 3
    known = history.as_of(instant("2024-05-01", zone="UTC"))
    [first] = [
        row
        for row in known.tables["contracts"].collect(backend="pyarrow").to_native().to_pylist()
        if row["customer_id"] == "c02" and row["plan"] == "flex"
    ][:1]
    # The longest month, so that the next payment falls in it.
    assert first["ends_at"] - first["starts_at"] == 31 * DAY_US
    assert (first["price"], first["recorded_at"]) == (2000, first["starts_at"])


def test_cover_is_what_was_paid_and_known(paid):
    (history, _), _ = paid
    # c00 paid on 2023-01-01, and again two months later: a gap.
    assert "c00" in covered(history, "2023-01-31")
    assert "c00" not in covered(history, "2023-02-01")
    # The second payment was recorded a week late, and gives no cover before.
    assert "c00" not in covered(history, "2023-03-08")
    assert "c00" in covered(history, "2023-03-09")
    # One that was taken back gives cover until that was known.
    assert "c01" in covered(history, "2024-06-09")
    assert "c01" not in covered(history, "2024-06-12")


def test_check_reports_it_and_the_contracts_select_is_not_needed(paid):
    (history, counts), settings = paid
    assert build_report(history, counts, settings)["tables"]["contracts"]["kept"] > 0
    mapping = settings.model_dump(mode="json", exclude={"folder"})
    del mapping["tables"]["contracts"]
    again = settings_from_mapping(mapping, folder=settings.folder, where="test")
    assert covered(history_of(again), "2023-02-07") == covered(history, "2023-02-07") != {}
    del mapping["tables"]["transactions"]
    mapping["activity"] = {"table": "interactions", "kinds": ["visit"]}
    mapping["tables"]["interactions"] = "SELECT 1"
    with pytest.raises(UsageError, match="terms_from"):
        settings_from_mapping(mapping, folder=settings.folder, where="test")
