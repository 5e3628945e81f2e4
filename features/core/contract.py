"""The data contract, as data: which tables and columns there are, their types, and when each cell becomes known.

Everything else reads this: the strict parser (`features.tables.parsing`), the cut (`features.tables.history`), the generated
page `docs/contract.md`. Types: `id` text, never a number · `instant` int64 microseconds UTC · `money` int64 minor
units · `number` float64, finite, at most 10^12 · `text` · `flag` boolean. A row that breaks a rule goes to the rejects with its
reason, and read = kept + rejected.
"""

from __future__ import annotations

from dataclasses import dataclass

EARLIEST_US = 0
LATEST_US = 7_258_118_400_000_000  # 2200-01-01: past it, a typing slip is likelier than an event
MONEY_LIMIT = 10**15
NUMBER_LIMIT = 10**12  # features count in thousandths, in 64 bits


@dataclass(frozen=True)
class Column:
    """One column. `known_at` names the column whose instant makes this cell known (default: the row's clocks)."""

    name: str
    type: str
    meaning: str
    required: bool = False
    known_at: str | None = None
    kinds: tuple[str, ...] = ()
    may_lie_ahead: bool = False


@dataclass(frozen=True)
class Table:
    """One table. `clock` is when its rows happened; `version_of` the columns that make rows versions of one thing."""

    name: str
    meaning: str
    clock: str | None
    columns: tuple[Column, ...]
    version_of: tuple[str, ...] = ()
    attributes: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


_CUSTOMER = Column(
    "customer_id",
    "id",
    "whose row it is; text, so leading zeros and ids beyond int64 survive",
    True,
)
_OCCURRED = Column("occurred_at", "instant", "when it happened", True)
_RECORDED = Column(
    "recorded_at", "instant", "when we could have known it; default: when it happened"
)
_CHANNEL = Column("channel", "text", "where it happened")

CONTRACT: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "customers",
            "one row a customer, or one row a version of a customer (with valid_from)",
            None,
            (
                _CUSTOMER,
                Column("valid_from", "instant", "from when this row's attributes hold"),
                Column("acquired_at", "instant", "when the customer became one"),
                Column("channel", "text", "where the customer came from"),
                Column("segment", "text", "the business's own grouping"),
                Column("region", "text", "where the customer lives"),
                Column("consent", "flag", "may be contacted"),
                Column("acquisition_cost", "money", "what winning the customer cost"),
            ),
            version_of=("customer_id", "valid_from"),
            attributes=True,
        ),
        Table(
            "transactions",
            "what was bought, given back, or failed to be paid",
            "occurred_at",
            (
                _CUSTOMER,
                _OCCURRED,
                Column(
                    "amount", "money", "paid (a refund may be stated negative or positive)", True
                ),
                _RECORDED,
                Column(
                    "transaction_id",
                    "id",
                    "rows with one id are versions: the latest recorded counts",
                ),
                Column(
                    "kind",
                    "text",
                    "what it was; default: purchase, or refund where the amount is negative",
                    kinds=("purchase", "refund", "payment_failed", "void"),
                ),
                Column("quantity", "number", "pieces"),
                Column("category", "text", "what was bought"),
                Column("discount", "money", "taken off the price"),
                _CHANNEL,
                Column("method", "text", "how it was paid"),
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
            "surveys from their sending on, reviews, complaints",
            "occurred_at",
            (
                _CUSTOMER,
                _OCCURRED,
                Column(
                    "kind",
                    "text",
                    "what it was",
                    True,
                    kinds=("csat", "nps", "review", "complaint"),
                ),
                Column(
                    "score",
                    "number",
                    "on the kind's declared scale; empty until answered",
                    known_at="answered_at",
                ),
                Column("answered_at", "instant", "when the answer came", known_at="answered_at"),
                Column(
                    "resolved_at",
                    "instant",
                    "when the complaint was closed",
                    known_at="resolved_at",
                ),
                Column("topic", "text", "what it was about"),
                Column("item", "text", "which product or order"),
                _RECORDED,
            ),
        ),
        Table(
            "contracts",
            "paid terms; a later row with equal customer, start and plan is a version",
            "recorded_at",
            (
                _CUSTOMER,
                Column(
                    "starts_at", "instant", "cover begins; may lie ahead", True, may_lie_ahead=True
                ),
                Column("ends_at", "instant", "cover ends; may lie ahead", True, may_lie_ahead=True),
                Column("cancelled_at", "instant", "when it was cancelled", known_at="cancelled_at"),
                Column("plan", "text", "which plan"),
                Column("price", "money", "for the term"),
                Column("auto_renew", "flag", "renews by itself"),
                Column("recorded_at", "instant", "when we could have known it; default: starts_at"),
            ),
            version_of=("customer_id", "starts_at", "plan"),
        ),
    )
}
SURVEYS = ("csat", "nps", "review")  # kinds of feedback that are asked for a score
EVENT_TABLES = ("transactions", "interactions", "feedback")
