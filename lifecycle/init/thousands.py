"""Whether the mark in `1.500` stands between the thousands or before the decimals.

The other cells of the column decide where they can; where they cannot, the user is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from lifecycle.init.cell import Cell, Choice, Option
from lifecycle.init.number_styles import (
    COMMA,
    COMMA_THOUSANDS,
    DOT_THOUSANDS,
    LAKH,
    PLAIN,
    NumberFrame,
    NumberStyle,
    styled_cell,
)
from lifecycle.init.source import Source

_FEW = 20  # cells with three digits after the mark, of which nothing can be learned below


@dataclass(frozen=True)
class _Cells:
    """How many cells show what the mark is.

    three: `1.500`, which fits both. grouped: `1.234.567` or `1.234,50`, decimals: `1.5`, which fit
    one alone. other_mark: `3,50`, so this mark is not before decimals. ungrouped: `4500`, written
    without a mark. hundreds and small: whole numbers of three digits, and of one or two.
    """

    three: int
    grouped: int
    decimals: int
    other_mark: int
    ungrouped: int
    hundreds: int
    small: int

    @property
    def is_settled(self) -> bool:
        """Whether the reading that most cells fit is the only one."""
        shown = self.grouped or self.decimals or (self.other_mark and not self.ungrouped)
        return not self.three or bool(shown)

    @property
    def are_large_and_small(self) -> bool:
        """Whether 950 stands beside 1.500 often enough to be the same scale."""
        many = self.three >= _FEW and self.hundreds * 50 >= self.three
        return bool(many and not self.ungrouped)

    @property
    def likely(self) -> str:
        """The likely reading."""
        if self.other_mark or self.are_large_and_small:
            return "thousands"
        return "decimals" if self.ungrouped or (self.small and not self.hundreds) else "thousands"


def settle_thousands(
    source: Source, cell: Cell, frame: NumberFrame, style: NumberStyle, *, has_three_decimals: bool
) -> Cell:
    """The cell as the column shows it, or with the choice between thousands and decimals.

    cell: the column in the style that most cells fit. has_three_decimals: the currency has three,
    as the Kuwaiti dinar, so `1.250` is an amount that people pay.
    """
    mark = "," if style in (COMMA, COMMA_THOUSANDS, LAKH) else "."
    cells = _count_cells(source, cell.column, frame, mark)
    if style is LAKH or cells.is_settled:
        return cell
    thousands, decimals = (DOT_THOUSANDS, PLAIN) if mark == "." else (COMMA_THOUSANDS, COMMA)
    as_thousands = styled_cell(source, cell.column, thousands, frame)
    as_decimals = styled_cell(source, cell.column, decimals, frame)
    if cells.are_large_and_small and not has_three_decimals:
        return as_thousands
    options = [
        Option(
            "thousands", f"1{mark}500 is 1500, sum {sum_text(source, as_thousands)}", as_thousands
        ),
        Option("decimals", f"1{mark}500 is 1.5, sum {sum_text(source, as_decimals)}", as_decimals),
    ]
    likely = "decimals" if has_three_decimals else cells.likely
    options.sort(key=lambda option: option.value != likely)
    text = _sentence(source, cell, cells, mark, has_three_decimals=has_three_decimals)
    return replace(options[0].cell, choice=Choice(text, tuple(options)))


def _count_cells(source: Source, column: str, frame: NumberFrame, mark: str) -> _Cells:
    here, other = ("[.]", ",") if mark == "." else (",", "[.]")
    patterns = (
        rf"[1-9]\d{{0,2}}{here}\d{{3}}",
        rf"\d{{1,3}}({here}\d{{3}}){{2,}}({other}\d*)?|\d{{1,3}}({here}\d{{3}})+{other}\d+",
        rf"\d+{here}(\d{{1,2}}|\d{{4,}})|(\d{{4,}}|0+){here}\d{{3}}",
        rf"\d+{other}(\d{{1,2}}|\d{{4,}})",
        rf"\d{{4,}}({other}\d+)?",
        r"[1-9]\d{2}",
        r"\d{1,2}",
    )
    bare = frame.strip("v")
    tests = [f"regexp_full_match({bare}, '[+-]?({pattern})')" for pattern in patterns]
    return _Cells(*source.count_shapes(column, tests)[1:])


def _sentence(
    source: Source, cell: Cell, cells: _Cells, mark: str, *, has_three_decimals: bool
) -> str:
    name = "point" if mark == "." else "comma"
    where = f"{cell.column} of {source.label}"
    if cells.other_mark:
        text = f"{where}: {cells.three:,} values have a {name} before their last three digits"
    else:
        text = f"{where}: all {cells.three:,} values with a {name} have three digits after it"
    if cells.ungrouped:
        text += f"; values of 1000 or more without a {name}: {cells.ungrouped:,}"
    if cells.small and not cells.hundreds:
        text += f"; others are whole numbers below 100: {cells.small:,}"
    return f"{text}; the currency has three decimals" if has_three_decimals else text


def sum_text(source: Source, cell: Cell) -> str:
    """The sum of the column as the cell reads it, for the user."""
    query = f"SELECT sum(TRY_CAST({cell.sql} AS DECIMAL(38, 6))) FROM {source.sample}"
    total = source.query(query)[0][0]
    return f"{float(total or 0):,.2f}"
