"""What is said of one row for each customer without dates, wherever such a table comes in."""

from __future__ import annotations

RULE = (
    "A prediction for an instant uses only what was known before it. A table with one "
    "row per customer and no instants does not say when its values or its label became known. "
    "So it cannot be cut at an as_of, and a good result on it may be the label itself."
)
FIX = (
    "Use the events from which the table was made (each with customer_id and occurred_at: "
    "purchases, usage, calls, complaints, terms), or monthly states with the day on which each "
    "was recorded."
)
