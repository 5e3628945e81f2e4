"""Consent: whose data are used for training, scores and lists, as [consent] says.

The flag is that of the customer's current row in `customers`. An empty flag, or no row, is no
consent. Who does not consent is left out as if the customer were not in the data at all, so neither
statistics of others nor counts depend on them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc

from features.core.errors import ColumnMissing
from features.core.language import say
from features.core.progress import print_status
from features.core.settings import Settings
from features.recipes.attributes import is_current_version
from features.tables.forgotten_rows import customer_columns
from features.tables.history import History
from features.tables.queries import first_value
from features.tables.sources import connect

Purpose = Literal["train", "score"]


def consents(customers: pa.Table) -> dict[str, bool | None]:
    """The current flag of every customer in known rows of `customers`; None where it is empty."""
    rows = nw.from_native(customers, eager_only=True).filter(is_current_version())
    current = rows.select("customer_id", "consent").to_native()
    return dict(zip(current[0].to_pylist(), current[1].to_pylist(), strict=True))


def states_consent(history: History, flags: Mapping[str, bool | None]) -> bool:
    """Whether the business says who consents: a column of the SELECT, or a flag of anybody.

    A column that is empty for everybody is the consent of nobody.
    """
    has_column = "consent" in history.columns.get("customers", ())
    return has_column or any(flag is not None for flag in flags.values())


def consent_counts(history: History, settings: Settings) -> Mapping[str, object] | None:
    """Customers by flag at the end of the data, and what the flag is needed for.

    yes, no, unknown: customers with an activity or a row of their own; needed_for: the purposes.
    None where nothing says who consents, and nothing needs it.
    """
    flags = _flags(history, history.data_until)
    needed = [name for name in ("train", "score", "list") if getattr(settings.consent, name)]
    if not states_consent(history, flags) and set(needed) <= {"list"}:
        return None
    values = list(flags.values())
    people = history.as_of(history.data_until).customers.select(nw.len())
    everybody = people.collect(backend="pyarrow").to_native()[0][0].as_py()
    yes, no = values.count(True), values.count(False)
    return {"yes": yes, "no": no, "unknown": everybody - yes - no, "needed_for": needed}


def with_consent(history: History, settings: Settings, purpose: Purpose, *, at: int) -> History:
    """The history of those whose flag is true at `at` (µs), where `purpose` needs consent.

    The same history where it is not needed, or where everybody consents. ColumnMissing where it is
    needed and no customer has a flag.

    >>> with_consent(history, settings, "train", at=history.data_until).names == history.names
    True
    """
    if not getattr(settings.consent, purpose):
        return history
    limited, count = limit_to_consent(history, settings, at=at)
    report_consent(count, purpose)
    return limited


@dataclass(frozen=True)
class ConsentCount:
    """Of some customers: how many have a flag, are known, and are left out without consent."""

    flags: int = 0
    customers: int = 0
    refused: int = 0

    @classmethod
    def join(cls, counts: Iterable[ConsentCount]) -> ConsentCount:
        """The count of disjoint groups of customers together."""
        rows = [dataclasses.astuple(each) for each in counts]
        return cls(*map(sum, zip(*rows, strict=True)))


def limit_to_consent(
    history: History, settings: Settings, *, at: int
) -> tuple[History, ConsentCount]:
    """The history of those whose flag is true at `at` (µs), and the count of everybody."""
    flags = _flags(history, at)
    consenting = pa.array(sorted(name for name, value in flags.items() if value), pa.string())
    limited = _limit(history, settings, consenting)
    before, after = (_count_customers(each, at) for each in (history, limited))
    count = ConsentCount(sum(value is not None for value in flags.values()), before, before - after)
    return history if before == after else limited, count


def report_consent(count: ConsentCount, purpose: Purpose) -> None:
    """Print how many are left out; ColumnMissing where no customer has a flag."""
    if not count.flags:
        raise _no_flag([purpose])
    if not count.refused:
        return
    named = {"refused": count.refused, "customers": count.customers}
    print_status(
        say(
            "{refused:,} of {customers:,} customers are not learned from: no consent ([consent] "
            "train = true)",
            **named,
        )
        if purpose == "train"
        else say(
            "{refused:,} of {customers:,} customers are not scored: no consent ([consent] score = "
            "true)",
            **named,
        )
    )


def refuse_missing_flags(history: History, settings: Settings) -> None:
    """ColumnMissing where [consent] needs the flag for something and no customer ever has one.

    `list` needs it where the configuration says so; by default it counts where there are flags. To
    be asked before the minutes of a training: scores and lists come after it.
    """
    needed = [name for name in ("train", "score") if getattr(settings.consent, name)]
    if settings.consent.list and "list" in settings.consent.model_fields_set:
        needed.append("list")
    if not needed:
        return
    if "customers" in history.names and first_value(
        history.connection, "SELECT count(consent) FROM customers"
    ):
        return
    raise _no_flag(needed)


def _no_flag(needed: Sequence[str]) -> ColumnMissing:
    both = " and ".join(f"{name} = true" for name in needed)
    return ColumnMissing(
        where=f"[consent] {both}",
        got="no customer with a consent flag",
        rule="Where consent is needed, customers has the column consent.",
        fix="Select consent in customers, or set "
        f"{', '.join(f'{name} = false' for name in needed)} under [consent].",
    )


def without_consent(customers: pa.Table | None, requested: list[str]) -> set[str]:
    """Those of the requested ids whose current flag is not true."""
    flags = consents(customers) if customers is not None else {}
    return {name for name in requested if not flags.get(name)}


def _flags(history: History, at: int) -> dict[str, bool | None]:
    if "customers" not in history.names:
        return {}
    rows = history.as_of(at).tables["customers"].select("customer_id", "valid_from", "consent")
    return consents(rows.collect(backend="pyarrow").to_native())


def _count_customers(history: History, at: int) -> int:
    people = history.as_of(at).customers.select(nw.len()).collect(backend="pyarrow")
    return int(people.to_native()[0][0].as_py())


def _limit(history: History, settings: Settings, consenting: pa.Array) -> History:
    """The tables of these customers alone, in an engine of their own."""
    connection = connect(memory=settings.engine.memory, threads=settings.engine.threads)
    for name in (*history.names, *history.further):
        rows = history.connection.table(name).to_arrow_table()
        for column in customer_columns(rows.column_names):
            inside = pc.is_in(rows[column], value_set=consenting)
            # A lead is of nobody until it becomes a customer.
            rows = rows.filter(pc.or_(inside, pc.is_null(rows[column])))
        connection.register("incoming", rows)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    return dataclasses.replace(history, connection=connection)
