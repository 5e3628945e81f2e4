"""How far the margins of transactions are known, and what share of the amounts they are.

A row without a margin counts with its amount times the share of the rows that have one. So a few
gaps move nothing much; where fewer than half of the amounts have a margin, that share is a guess
and nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import narwhals as nw

from features.core.errors import ColumnMissing
from features.tables.net_money import moves_money, net_amount, net_margin

LEAST_KNOWN = 0.5  # of the amounts (purchases and refunds, each by its size)


@dataclass(frozen=True)
class MarginFacts:
    """Margins of some rows of transactions; money in minor units, all of them whole numbers.

    purchases, with_margin: counts of rows. amount, margin: sums over the purchases with a margin.
    above: count of those with more margin than amount. size, known_size: the amounts of purchases
    and refunds by their size, of all rows and of those with a margin.
    """

    purchases: int
    with_margin: int
    amount: int
    margin: int
    above: int
    size: int
    known_size: int

    @property
    def share(self) -> float | None:
        """Margin over amount; None where no purchase with an amount has a margin."""
        return self.margin / self.amount if self.amount > 0 else None

    @property
    def known_share(self) -> float:
        """The part of the amounts that has a margin; 1 where there are no amounts."""
        return self.known_size / self.size if self.size > 0 else 1.0

    @property
    def suffices(self) -> bool:
        """Whether money can be told in margin."""
        return self.known_share >= LEAST_KNOWN and (self.share is not None or self.size == 0)


def require_margin(columns: Sequence[str]) -> None:
    """ColumnMissing where the SELECT of transactions, with these columns, has no margin."""
    if "margin" not in columns:
        raise ColumnMissing(
            where="[tables] transactions",
            got=f"no column margin; it has {', '.join(columns)}",
            rule='[value] margin = "column" reads the column margin of transactions: what is left '
            "of the amount after what was sold is paid for.",
            fix="Select it, such as: SELECT …, price - cost AS margin. Or write one share for all "
            "under [value]: margin = 0.4",
        )


def margin_facts(rows: nw.LazyFrame) -> MarginFacts:
    """The facts of rows of transactions, whatever their order."""
    amount, margin = nw.col("amount"), nw.col("margin")
    bought = (nw.col("kind") == "purchase") & (amount >= 0)
    has = ~margin.is_null()
    sums = {
        "purchases": _sum_where(bought, nw.lit(1)),
        "with_margin": _sum_where(bought & has, nw.lit(1)),
        "amount": _sum_where(bought & has, amount),
        "margin": _sum_where(bought & has, margin),
        "above": _sum_where(bought & (margin > amount), nw.lit(1)),
        "size": amount.abs().sum().cast(nw.Float64),
        "known_size": _sum_where(has, amount.abs()),
    }
    [row] = rows.filter(moves_money()).select(**sums).collect(backend="pyarrow").rows(named=True)
    values = {name: int(value or 0) for name, value in row.items()}
    return MarginFacts(**values)


def margin_or_guess(share: float | None) -> nw.Expr:
    """What is left of the money of a row, in whole minor units; without a margin net · share.

    `share`: of `MarginFacts`; a row without a margin has nothing left where it is None.
    """
    guess = (net_amount().cast(nw.Float64) * (share or 0.0)).round(0).cast(nw.Int64)
    return nw.coalesce(net_margin(), guess)


def _sum_where(test: nw.Expr, value: nw.Expr) -> nw.Expr:
    """The sum of whole numbers where a test is true, as float64."""
    return nw.when(test).then(value).otherwise(nw.lit(0)).sum().cast(nw.Float64)
