"""How customers left: with a word, which can be answered, or in silence, which must be noticed.

Of the customers who were eligible one outcome window ago and left in it. With contracts

    cancelled        the last term that ran was cancelled before the window's end (a word)
    payment failed   none was, and a payment failed in the 30 days before the window or in it
    lapsed           neither: the cover ended and was not renewed

and without contracts

    voiced   a complaint, an answer of at most 1/4 of its scale, or a visit to the page for
             cancelling, from 30 days before the last activity on
    silent   nothing of it

The first that applies counts, so the rows add up to all who left. Only what was known before as_of
counts.
"""

from __future__ import annotations

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.core.instants import DAY_US
from features.indicators.business_table import NUMBER, TEXT, TableShape
from features.indicators.indicator_data import IndicatorData
from features.indicators.intervals import wilson
from features.labels.leaving_cause import cancelled_terms
from features.recipes.item_means import score_scaled
from features.recipes.recipe import SCORE_SCALE

VOICE_DAYS = 30
NO_VOICE = "feedback, or visits to a page for cancelling, in which customers could say something"
LOW_SCORE = 0.25  # of the scale
CONTRACT_CAUSES = ("cancelled", "payment failed", "lapsed")
CAUSES = ("voiced", "silent")


def leaving_table(data: IndicatorData) -> dict[str, pa.Table]:
    """`leaving`: a row for each way of leaving, in the order of the module's docstring."""
    shape = _shape(data)
    if not data.settings.contractual and not _records_voices(data):
        return {"leaving": shape.say_missing(NO_VOICE, as_of=data.as_of)}
    left = data.last_outcomes.filter(data.last_outcomes["churned"])["customer_id"]
    if not len(left):
        missing = "a customer who was eligible one outcome window ago and left in it"
        return {"leaving": shape.say_missing(missing, as_of=data.as_of)}
    names = CONTRACT_CAUSES if data.settings.contractual else CAUSES
    signs = _contract_signs(data) if data.settings.contractual else [_voiced(data)]
    cause = np.full(len(left), len(names) - 1)
    for number, people in reversed(list(enumerate(signs))):
        cause[pc.is_in(left, value_set=people).to_numpy()] = number
    counts = np.bincount(cause, minlength=len(names))
    low, high = wilson(counts, np.full(len(names), len(left)))
    rows = [
        {
            "cause": name,
            "share": float(count / len(left)),
            "n": int(count),
            "low": float(bottom),
            "high": float(top),
        }
        for name, count, bottom, top in zip(names, counts, low, high, strict=True)
    ]
    return {"leaving": shape.fill_rows(rows, as_of=data.as_of)}


def _shape(data: IndicatorData) -> TableShape:
    churn = data.settings.churn
    ago = churn.horizon_days + churn.label_latency_days
    if data.settings.contractual:
        how = (
            "cancelled: the last term that ran was cancelled; payment failed: it was not, and a "
            f"payment failed in the {VOICE_DAYS} days before or in the window; lapsed: neither"
        )
    else:
        how = (
            "voiced: a complaint, an answer of at most 1/4 of its scale or a visit to the page for "
            f"cancelling, from {VOICE_DAYS} days before the last activity on; silent: none of it"
        )
    return TableShape(
        "leaving",
        f"{how}; share: of all who left, with its 95 % Wilson interval",
        f"customers eligible {ago} days before as_of who left in the {churn.horizon_days} days "
        "from then on",
        {"cause": TEXT, "share": NUMBER},
    )


def _window(data: IndicatorData) -> tuple[int, int]:
    """The window in which they left, [begin, end) in µs."""
    begin = data.as_of - data.settings.outcome_window_us
    return begin, begin + data.settings.churn.horizon_days * DAY_US


def _contract_signs(data: IndicatorData) -> list[pa.Array]:
    """Who cancelled, and whose payment failed."""
    begin, end = _window(data)
    terms = data.known.tables["contracts"]
    signs = [_ids(cancelled_terms(terms, begin=begin, end=end))]
    payments = data.known.tables.get("transactions")
    if payments is None:
        return signs
    at = nw.col("occurred_at")
    recent = (at >= begin - VOICE_DAYS * DAY_US) & (at < end)
    return [*signs, _ids(payments.filter(recent & (nw.col("kind") == "payment_failed")))]


def _records_voices(data: IndicatorData) -> bool:
    """Whether what customers say would be in the data; without it nobody is silent."""
    if "feedback" in data.known.tables:
        return True
    visits = data.known.tables.get("interactions")
    if visits is None:
        return False
    return len(_ids(visits.filter(nw.col("kind") == "cancel_page").head(1))) > 0


def _voiced(data: IndicatorData) -> pa.Array:
    """Who said something from VOICE_DAYS days before the last activity on."""
    voices = []
    if "feedback" in data.known.tables:
        score = score_scaled(data.definitions.scales)
        low = (score <= int(LOW_SCORE * SCORE_SCALE)).fill_null(False)
        answers = data.known.tables["feedback"].filter((nw.col("kind") == "complaint") | low)
        voices.append(answers.select("customer_id", "occurred_at"))
    if "interactions" in data.known.tables:
        visits = data.known.tables["interactions"].filter(nw.col("kind") == "cancel_page")
        voices.append(visits.select("customer_id", "occurred_at"))
    if not voices:
        return pa.array([], pa.string())
    _, end = _window(data)
    at = nw.col("occurred_at")
    active = data.known.activity.filter(at < end).group_by("customer_id").agg(last=at.max())
    events = nw.concat(voices).join(active, on="customer_id")
    return _ids(events.filter((at >= nw.col("last") - VOICE_DAYS * DAY_US) & (at < end)))


def _ids(rows: nw.LazyFrame) -> pa.Array:
    ids = rows.select("customer_id").collect(backend="pyarrow").to_native()["customer_id"]
    return ids.combine_chunks()
