"""Whether a lost cover was cancelled: a customer who said so, and not one who lapsed in silence."""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.settings import Settings
from features.labels.outcome_window import OutcomeWindow
from features.tables.history import History, Known

CANCELLED_COLUMN = "cancelled_in_window"


def cancelled_terms(terms: nw.LazyFrame, *, begin: int, end: int) -> nw.LazyFrame:
    """The last terms of customers, where they were cancelled before `end` (µs).

    The last: of those that began before `end` and ran at `begin` or after it, the one that ended
    last. Who cancels a monthly term for an annual one and lets that lapse left in silence; so did
    who has an old term cancelled in the books.
    """
    ran = terms.filter((nw.col("starts_at") < end) & (nw.col("ends_at") > begin))
    last = ran.group_by("customer_id").agg(last_end=nw.col("ends_at").max())
    ran = ran.join(last, on="customer_id").filter(nw.col("ends_at") == nw.col("last_end"))
    return ran.filter(nw.col("cancelled_at") < end)


def observe_cancelled(
    history: History, known: Known, customers: pa.ChunkedArray, settings: Settings
) -> np.ndarray:
    """Whether the last term of a customer was cancelled by the horizon's end: bool (customers,).

    Of terms that ran at the instant or began after it, as it was recorded until the label latency
    was over. Who cancelled before the instant and whose cover runs on until the term ends counts:
    the word was said. `known`: what was known at the instant; its outcome window has to be complete
    (`outcomes.refuse_immature`).
    """
    window = OutcomeWindow.after(known.instant, settings)
    terms = history.cut("contracts", window.known_until, cancelled_before=window.end)
    rows = cancelled_terms(terms, begin=window.begin, end=window.end).select("customer_id")
    ids = rows.collect(backend="pyarrow").to_native()["customer_id"]
    return pc.is_in(customers, value_set=ids.combine_chunks()).to_numpy()
