"""An invented business, written as files in a random dialect: how people and programs export it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Order:
    number: str
    customer: int
    at: datetime
    cents: int
    kind: str


def invent_orders(seed: int, *, early_days: bool = False) -> list[Order]:
    """240 orders of 30 customers in 2023, to the minute; some are refunds.

    early_days: no day of a month is over 12, so that day and month can be exchanged.
    """
    chance = random.Random(seed)
    orders = []
    for number in range(240):
        at = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randrange(360 * 1440))
        if early_days:
            at = at.replace(day=1 + at.day % 12)
        cents = chance.choice([chance.randrange(100, 9_900), chance.randrange(100_000, 990_000)])
        kind = "refund" if number % 24 == 23 else "purchase"
        sign = -1 if kind == "refund" else 1
        orders.append(Order(f"{10_000 + number}", number % 30, at, sign * cents, kind))
    return orders


# --- how a time is written: (text of it, whether the clock is lost, whether init must ask) ---


def _excel(at: datetime) -> str:
    days = (at - datetime(1899, 12, 30, tzinfo=UTC)) / DAY
    return f"{days:.6f}"


_GERMAN = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
TIMES: dict[str, tuple[Callable[[datetime], str], bool]] = {
    "iso day": (lambda at: f"{at:%Y-%m-%d}", True),
    "iso": (lambda at: f"{at:%Y-%m-%d %H:%M:%S}", False),
    "iso T": (lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}", False),
    "space offset": (lambda at: f"{at:%Y-%m-%d %H:%M:%S} +0000", False),
    "UTC": (lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC", False),
    "other offset": (
        lambda at: f"{at + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}+02:00",
        False,
    ),
    "day first": (lambda at: f"{at:%d/%m/%Y}", True),
    "day first clock": (lambda at: f"{at:%d/%m/%Y %H:%M}", False),
    "month first": (lambda at: f"{at:%m/%d/%Y}", True),
    "month first am": (lambda at: f"{at.month}/{at.day}/{at:%Y %I:%M %p}", False),
    "dots": (lambda at: f"{at:%d.%m.%Y %H:%M}", False),
    "short year": (lambda at: f"{at:%d.%m.%y}", True),
    "month word": (lambda at: f"{at:%d %b %Y %H:%M}", False),
    "words": (lambda at: f"{at:%b} {at.day}, {at:%Y, %I:%M %p}", False),
    "german words": (lambda at: f"{at.day}. {_GERMAN.split()[at.month - 1]} {at.year}", True),
    "rfc": (lambda at: f"{at:%a, %d %b %Y %H:%M:%S} +0000", False),
    "chinese": (lambda at: f"{at.year}年{at.month}月{at.day}日", True),
    "compact": (lambda at: f"{at:%Y%m%d}", True),
    "seconds": (lambda at: str(int(at.timestamp())), False),
    "milliseconds": (lambda at: str(int(at.timestamp()) * 1000), False),
    "microseconds": (lambda at: str(int(at.timestamp()) * 1_000_000), False),
    "excel": (_excel, False),
}
DAY_FIRST_OR_NOT = ("day first", "day first clock", "month first", "month first am")


# --- how money is written ---


def _grouped(cents: int, between: str, point: str) -> str:
    whole, rest = divmod(abs(cents), 100)
    return f"{whole:,}".replace(",", between) + f"{point}{rest:02d}"


def _minus(cents: int, text: str) -> str:
    return f"-{text}" if cents < 0 else text


MONEY: dict[str, Callable[[int], str]] = {
    "plain": lambda cents: f"{cents / 100:.2f}",
    "comma": lambda cents: _minus(cents, _grouped(cents, "", ",")),
    "commas and point": lambda cents: _minus(cents, _grouped(cents, ",", ".")),
    "dots and comma": lambda cents: _minus(cents, _grouped(cents, ".", ",")),
    "spaces and comma": lambda cents: _minus(cents, _grouped(cents, "\u202f", ",")) + " €",
    "swiss": lambda cents: "CHF " + _minus(cents, _grouped(cents, "'", ".")),
    "pound": lambda cents: _minus(cents, "£" + _grouped(cents, ",", ".")),
    "code behind": lambda cents: _minus(cents, _grouped(cents, " ", ",")) + " EUR",
    "brackets": lambda cents: f"({_grouped(cents, '', '.')})" if cents < 0 else f"{cents / 100}",
    "minus behind": lambda cents: _grouped(cents, ".", ",") + ("-" if cents < 0 else ""),
    "long minus": lambda cents: ("\u2212" if cents < 0 else "") + _grouped(cents, ",", "."),
    "cents": str,
}

# --- how ids are written; the person that the contract shall have ---

IDS: dict[str, tuple[Callable[[int], str], Callable[[int], str]]] = {
    "number": (lambda n: str(100 + n), lambda n: str(100 + n)),
    "zeros": (lambda n: f"{n:05d}", lambda n: f"{n:05d}"),
    "letters": (lambda n: f"C{n:04d}", lambda n: f"C{n:04d}"),
    "float": (lambda n: f"{100 + n}.0", lambda n: str(100 + n)),
    "apostrophe": (lambda n: f"'{n:05d}", lambda n: f"{n:05d}"),
    "e-mail": (lambda n: f"Ann.{n}@Example.org", lambda n: f"ann.{n}@example.org"),
    "long": (lambda n: str(9_000_000_000_000_000_000 + n), lambda n: str(9 * 10**18 + n)),
}
# --- headers: order, customer, time, amount, status; customers: customer, since, city ---

HEADERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "english": (
        ("Order ID", "Customer ID", "Order Date", "Amount (EUR)", "Status"),
        ("Customer ID", "Signup Date", "City"),
    ),
    "plain": (
        ("order_id", "user", "created_at", "total", "payment_status"),
        ("user", "created_at", "country"),
    ),
    "chinese": (
        ("订单编号", "客户编号", "下单时间", "订单金额", "订单状态"),
        ("客户编号", "注册日期", "城市"),
    ),
    "german": (
        ("Bestellnummer", "Kunden-Nr.", "Bestelldatum", "Betrag [EUR]", "Zahlungsstatus"),
        ("Kunden-Nr.", "Kunde seit", "Stadt"),
    ),
    "french": (
        ("N° commande", "N° client", "Date de commande", "Montant TTC", "Statut"),
        ("N° client", "Date d'inscription", "Ville"),
    ),
    "spanish": (
        ("Número de pedido", "ID Cliente", "Fecha de pedido", "Importe total", "Estado"),
        ("ID Cliente", "Fecha de alta", "Ciudad"),
    ),
    "portuguese": (
        ("Número do pedido", "Código do cliente", "Data do pedido", "Valor total", "Situação"),
        ("Código do cliente", "Data de cadastro", "Cidade"),
    ),
}
STATUS = {
    "english": ("Completed", "Refunded"),
    "plain": ("paid", "refunded"),
    "chinese": ("已完成", "已退款"),
    "german": ("bezahlt", "erstattet"),
    "french": ("Payé", "Remboursé"),
    "spanish": ("Completado", "Reembolsado"),
    "portuguese": ("Concluído", "Reembolsado"),
}
EXTRAS: dict[str, Callable[[int], str]] = {
    "Notes": lambda n: "fine, thanks" if n % 3 else "",
    "loaded_at": lambda _: "2024-02-01T03:00:00Z",
    "updated_at": lambda n: f"2024-01-{1 + n % 28:02d}T03:00:00Z",
    "row": lambda n: str(n + 1),
    "store_id": lambda n: str(n % 4),
    "Tax": lambda n: f"{n % 7}.50",
    "Postal code": lambda n: f"0{1000 + n % 30}",
    "Invoice sent": lambda n: "yes" if n % 2 else "no",
}


@dataclass(frozen=True)
class Dialect:
    time: str
    money: str
    ids: str
    language: str
    between: str = ","
    quoted: bool = False
    extras: tuple[str, ...] = ()
    parts: int = 1
    with_customers: bool = True
    seed: int = 0

    def must_ask(self, *, early_days: bool) -> bool:
        """Whether both readings fit every cell."""
        either = early_days and self.time in DAY_FIRST_OR_NOT
        return either or self.time == "excel" or self.money == "cents"

    def default_is_right(self, *, early_days: bool) -> bool:
        """Whether init can guess right: not month first where it fits too, nor bare cents."""
        return not ((early_days and self.time.startswith("month first")) or self.money == "cents")


def write_files(folder: Path, orders: list[Order], dialect: Dialect) -> list[Path]:
    """The business in this dialect: orders in one or two files, and a file of customers."""
    chance = random.Random(dialect.seed)
    write_time, _ = TIMES[dialect.time]
    write_id, _ = IDS[dialect.ids]
    heads, customer_heads = HEADERS[dialect.language]
    done, back = STATUS[dialect.language]
    columns: dict[str, list[str]] = {
        heads[0]: [order.number for order in orders],
        heads[1]: [write_id(order.customer) for order in orders],
        heads[2]: [write_time(order.at) for order in orders],
        heads[3]: [MONEY[dialect.money](order.cents) for order in orders],
        heads[4]: [back if order.kind == "refund" else done for order in orders],
        **{name: [EXTRAS[name](n) for n in range(len(orders))] for name in dialect.extras},
    }
    names = list(columns)
    chance.shuffle(names)
    files = []
    half = len(orders) // 2
    # Two exports overlap by ten orders.
    spans = [(0, len(orders))] if dialect.parts == 1 else [(0, half + 10), (half, len(orders))]
    for number, (first, last) in enumerate(spans):
        rows = [[columns[name][n] for name in names] for n in range(first, last)]
        files.append(_write(folder / f"orders_{number + 1}.csv", names, rows, dialect))
    if dialect.with_customers:
        rows = [
            [write_id(n), write_time(datetime(2022, 1 + n % 12, 1 + n % 28, tzinfo=UTC)), "Hove"]
            for n in range(30)
        ]
        files.append(_write(folder / "customers.csv", list(customer_heads), rows, dialect))
    return files


def _write(path: Path, head: list[str], rows: list[list[str]], dialect: Dialect) -> Path:
    def cell(text: str) -> str:
        needs = dialect.quoted or dialect.between in text or '"' in text
        return '"' + text.replace('"', '""') + '"' if needs else text

    lines = [dialect.between.join(map(cell, row)) for row in [head, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def expected_rows(
    orders: list[Order], dialect: Dialect
) -> set[tuple[str, str, datetime, int, str]]:
    """(order, customer, instant, cents, kind) as the contract shall have them."""
    _, loses_clock = TIMES[dialect.time]
    _, person = IDS[dialect.ids]
    return {
        (
            order.number,
            person(order.customer),
            order.at.replace(hour=0, minute=0) if loses_clock else order.at,
            order.cents,
            order.kind,
        )
        for order in orders
    }
