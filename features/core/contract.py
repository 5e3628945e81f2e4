"""The data contract as data: the tables and columns, their types, and when each cell becomes known.

The parser (`features.tables.parsing`), the cut at an instant (`features.tables.history`) and the
generated page `docs/contract.md` all read it. Types: `id` text, never a number · `instant` int64
microseconds UTC · `month` the instant at which the local month begins · `money` int64 minor units ·
`number` float64, finite, at most 10^12 · `text` · `flag` boolean. A row that breaks a rule goes to
the rejects with its reason, so that read = kept + rejected.
"""

from __future__ import annotations

from dataclasses import dataclass

EARLIEST_US = 0
# 2200-01-01: a later instant is more likely a typing error than an event.
LATEST_US = 7_258_118_400_000_000
# How a term without an end ends inside the program: no instant of the data lies there.
OPEN_END_US = LATEST_US
# What is trimmed at both ends of a text: the Unicode spaces, and signs that nobody sees, such as
# the mark at the start of a file, which would make two people of one. Tabs and line ends stay.
TRIMMED = (
    "\u0020\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u202f\u205f\u3000\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"
)
# Nobody agrees on an end so far away: 2099-12-31 and 9999-12-31 stand for none. A day before 2099
# in UTC, so that the first midnight of 2099 counts in every zone.
OPEN_FROM_US = 4_070_822_400_000_000
MONEY_LIMIT = 10**15
NUMBER_LIMIT = 10**12  # features sum thousandths in 64 bits


@dataclass(frozen=True)
class Column:
    """One column of a table.

    known_at: the column whose instant makes this cell known; None: the cell is known with its row.
    kinds: the only values allowed; none given: any. may_lie_ahead: an instant that may be later
    than its row's. open_end: an instant that may be missing, or so late that it means none.
    """

    name: str
    type: str
    meaning: str
    required: bool = False
    known_at: str | None = None
    kinds: tuple[str, ...] = ()
    may_lie_ahead: bool = False
    open_end: bool = False


@dataclass(frozen=True)
class Table:
    """One table.

    clock: the column that says when a row happened. version_of: rows that are equal in these
    columns are versions of one another. attributes: a row describes a customer and is no event.
    """

    name: str
    meaning: str
    clock: str | None
    columns: tuple[Column, ...]
    version_of: tuple[str, ...] = ()
    attributes: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def happened_at(self) -> str:
        """The column with the instant of a row: what it is recorded at by default."""
        if self.name == "contracts":
            return "starts_at"
        return self.clock if self.clock not in (None, "recorded_at") else "occurred_at"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


_CUSTOMER = Column(
    "customer_id",
    "id",
    "the customer; text, so that leading zeros and ids beyond int64 are preserved",
    True,
)
_OCCURRED = Column("occurred_at", "instant", "when it happened", True)
_RECORDED = Column(
    "recorded_at",
    "instant",
    "when the row was recorded, and so could be known; default: when it happened",
)
_CHANNEL = Column("channel", "text", "where it happened")

CONTRACT: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "customers",
            "one row per customer, or one row per version of a customer (with valid_from)",
            None,
            (
                _CUSTOMER,
                Column(
                    "valid_from",
                    "instant",
                    "the instant from which this row's attributes are valid",
                ),
                Column("acquired_at", "instant", "when the customer was acquired"),
                Column("channel", "text", "the channel through which the customer was acquired"),
                Column("segment", "text", "the business's own grouping of customers"),
                Column("region", "text", "where the customer lives"),
                Column(
                    "consent",
                    "flag",
                    "whether the customer consented; [consent] says what it is needed for",
                ),
                Column(
                    "acquisition_cost",
                    "money",
                    "the cost of acquiring the customer; a feature like the other attributes",
                ),
            ),
            version_of=("customer_id", "valid_from"),
            attributes=True,
        ),
        Table(
            "transactions",
            "purchases, refunds and failed payments",
            "occurred_at",
            (
                _CUSTOMER,
                _OCCURRED,
                Column(
                    "amount", "money", "the amount paid (of a refund: negative or positive)", True
                ),
                _RECORDED,
                Column(
                    "transaction_id",
                    "id",
                    "rows with the same id are versions: the latest recorded counts. A refund "
                    "under the id of its order is a refund of it, not a version; refunds are "
                    "versions of each other if occurred_at is equal too. A void withdraws all rows "
                    "of the id recorded until then (with a negative amount: the refunds alone)",
                ),
                Column(
                    "kind",
                    "text",
                    "the kind; default: purchase, or refund where the amount is negative",
                    kinds=("purchase", "refund", "payment_failed", "void"),
                ),
                Column("quantity", "number", "the number of pieces"),
                Column("category", "text", "the category of what was bought"),
                Column("discount", "money", "the discount on the price"),
                Column(
                    "margin",
                    "money",
                    "what is left of the amount after what was sold is paid for; below 0 where it "
                    "cost more; empty: not known. No feature: `[value] margin` reads it",
                ),
                _CHANNEL,
                Column("method", "text", "the method of payment"),
            ),
            version_of=("customer_id", "transaction_id"),
        ),
        Table(
            "interactions",
            "visits, logins, usage, messages sent and opened, calls, cancel pages",
            "occurred_at",
            (
                _CUSTOMER,
                _OCCURRED,
                Column(
                    "kind",
                    "text",
                    "visit, login, usage, sent, opened, clicked, call, cancel_page …",
                    True,
                ),
                _RECORDED,
                _CHANNEL,
                Column("quantity", "number", "minutes or pages"),
            ),
        ),
        Table(
            "feedback",
            "surveys (from the sending on), reviews, complaints",
            "occurred_at",
            (
                _CUSTOMER,
                _OCCURRED,
                Column(
                    "kind",
                    "text",
                    "the kind",
                    True,
                    kinds=("csat", "nps", "review", "complaint"),
                ),
                Column(
                    "score",
                    "number",
                    "the score on the scale configured for the kind; empty until answered",
                    known_at="answered_at",
                ),
                Column(
                    "answered_at", "instant", "when the survey was answered", known_at="answered_at"
                ),
                Column(
                    "resolved_at",
                    "instant",
                    "when the complaint was resolved",
                    known_at="resolved_at",
                ),
                Column("topic", "text", "the topic"),
                Column("item", "text", "the product or order"),
                _RECORDED,
            ),
        ),
        Table(
            "contracts",
            "paid terms; a later recorded row of the same customer, start and plan is a version",
            "recorded_at",
            (
                _CUSTOMER,
                Column(
                    "starts_at",
                    "instant",
                    "when cover begins; may lie in the future",
                    True,
                    may_lie_ahead=True,
                ),
                Column(
                    "ends_at",
                    "instant",
                    "when cover ends; may lie in the future; blank or from 2099 on: open-ended",
                    may_lie_ahead=True,
                    open_end=True,
                ),
                Column(
                    "cancelled_at",
                    "instant",
                    "when the customer withdrew: the term does not renew (open-ended: it ends)",
                    known_at="cancelled_at",
                ),
                Column("plan", "text", "the plan"),
                Column("price", "money", "the price of the term"),
                Column("auto_renew", "flag", "whether the term renews automatically"),
                Column(
                    "recorded_at",
                    "instant",
                    "when the row was recorded, and so could be known; default: starts_at",
                ),
            ),
            version_of=("customer_id", "starts_at", "plan"),
        ),
    )
}
# Read, checked, counted and cut by both clocks. No feature reads them unless it is switched on, so
# they change no release.
FURTHER_TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "treatments",
            "what a campaign did to a customer, or decided not to do. Never activity. A row is "
            "known from its decision on, before anybody is contacted",
            "recorded_at",
            (
                _CUSTOMER,
                Column(
                    "occurred_at",
                    "instant",
                    "when the customer is contacted, or would have been",
                    True,
                    may_lie_ahead=True,
                ),
                Column("campaign", "text", "the campaign", True),
                Column("recorded_at", "instant", "when it was decided; default: when it happened"),
                Column(
                    "arm",
                    "text",
                    "whether the customer was treated; empty: unknown",
                    kinds=("treated", "held_out"),
                ),
                Column("action", "text", "what was done, or would have been"),
                Column("cost", "money", "the cost of this treatment"),
            ),
        ),
        Table(
            "costs",
            "what a channel cost in a month",
            "month",
            (
                Column("channel", "text", "the channel of acquisition", True),
                Column("month", "month", "YYYY-MM, or any instant of the month", True),
                Column("amount", "money", "the cost", True),
                Column("kind", "text", "the kind", kinds=("advertising", "labour", "promotion")),
                Column(
                    "recorded_at",
                    "instant",
                    "when the row was recorded, and so could be known; default: the month's end",
                ),
            ),
        ),
        Table(
            "leads",
            "people who may become customers; a later recorded row of a lead is a version",
            "occurred_at",
            (
                Column("lead_id", "id", "the lead", True),
                _OCCURRED,
                _CHANNEL,
                Column("customer_id", "id", "the customer that the lead became; empty until then"),
                _RECORDED,
            ),
            version_of=("lead_id",),
        ),
        Table(
            "deliveries",
            "until when a table is complete, one row for each delivery; see `fresh_until`",
            "complete_until",
            (
                Column("table_name", "text", "the table", True, kinds=tuple(CONTRACT)),
                Column("complete_until", "instant", "it has all rows before this instant", True),
                Column(
                    "recorded_at",
                    "instant",
                    "when this was known; default: complete_until",
                ),
            ),
        ),
        Table(
            "referrals",
            "who brought whom",
            "occurred_at",
            (
                Column("referrer_id", "id", "the customer who referred", True),
                Column("referred_id", "id", "the customer who was referred", True),
                _OCCURRED,
                _RECORDED,
            ),
        ),
    )
}
ALL_TABLES = CONTRACT | FURTHER_TABLES
# Of them the ones that features read where a switch of [features] says so; all have customer_id.
SWITCHED_TABLES = ("treatments",)
SURVEYS = ("csat", "nps", "review")  # kinds of feedback that ask for a score
EVENT_TABLES = ("transactions", "interactions", "feedback")
