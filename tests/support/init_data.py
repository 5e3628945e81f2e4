"""Files for `lifecycle init`, and what it makes of them."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from features.core import settings
from features.core.instants import DAY_US
from features.tables import history
from lifecycle import init

PEOPLE = [f"{number:05d}" for number in range(1, 31)]
SIMPLE = [f"0{n % 7},2024-01-{1 + n % 28:02d},{n}.50" for n in range(60)]


def put(folder: Path, name: str, head: str, rows: list[str], encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_text("\n".join([head, *rows]) + "\n", encoding=encoding)
    return path


def guessed(folder: Path, *files: Path):
    """(guesses by key, page, settings, history, counts) of `lifecycle init FILES`."""
    out = folder / "lifecycle.toml"
    made = init.write(list(files), out)
    stated = settings.load_settings(out)
    found, counts = history.load_history(stated)
    for account in counts.values():
        assert account.read == account.kept + sum(account.rejected.values())
    return (
        {entry["what"]: entry for entry in made},
        out.read_text(encoding="utf-8"),
        stated,
        found,
        counts,
    )


def rows(found, table: str) -> list[dict]:
    return found.connection.table(table).to_arrow_table().to_pylist()


def day(instant_us: int) -> date:
    return date(1970, 1, 1) + timedelta(days=instant_us // DAY_US)


def that_matter(page: str) -> list[str]:
    return [
        line for line in page.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]


def order_lines() -> list[tuple[str, str, date, int, str]]:
    """(order, customer, day, quantity, price) of 180 orders with one to three lines."""
    lines = []
    for number in range(180):
        customer, on = (
            PEOPLE[number % 30],
            date(2024, 1, 3) + timedelta(days=number % 30 + 20 * (number // 30)),
        )
        lines += [
            (
                f"A{number:04d}",
                customer,
                on,
                1 + (number + line) % 3,
                f"{7 + line}.{number % 100:02d}",
            )
            for line in range(1 + number % 3)
        ]
    return lines


@pytest.fixture
def shop_files(tmp_path):
    """The four files of a typical shop: ids with leading zeros, day-first dates, order lines, blank
    cells.
    """
    return [
        put(
            tmp_path,
            "customers.csv",
            "CustomerID,Name,SignupDate,City,Segment",
            [
                f"{who},Ann {n},{1 + n % 28:02d}/11/2023,Köln,{'vip' if n % 4 else 'new'}"
                for n, who in enumerate(PEOPLE)
            ],
        ),
        put(
            tmp_path,
            "orders.csv",
            "OrderNo,cust_id,OrderDate,SKU,Qty,UnitPrice",
            [
                f"{order},{who},{on:%d/%m/%Y} 09:30,S{n},{pieces},{price}"
                for n, (order, who, on, pieces, price) in enumerate(order_lines())
            ],
        ),
        put(
            tmp_path,
            "tickets.csv",
            "ticket_id,customer_id,created_at,resolved_at,issue_type,body",
            [
                f"{n},{who},2024-03-{1 + n:02d}"
                f" 10:00:00,{'' if n % 3 else f'2024-04-{1 + n:02d} 11:00:00'},delivery,private"
                for n, who in enumerate(PEOPLE[:12])
            ],
        ),
        put(
            tmp_path,
            "ratings.csv",
            "user_id,date,stars",
            [f"{who},{1 + n:02d}.04.2024,{1 + n % 5}" for n, who in enumerate(PEOPLE[:20])],
        ),
    ]
