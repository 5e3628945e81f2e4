"""How long a payment pays for, category by category, and what is said of it."""

from __future__ import annotations

from datetime import timedelta

from features.tables.payment_terms import read_periods
from lifecycle.commands.check import build_report
from lifecycle.commands.check_text import report_text
from tests.support.plausible_business import NOW, START, business, findings

MONTHS, QUARTERS, ANNUAL, BOOKS = "Monthly", "Term", "Annual", "Books"
HEAD = "customer_id,occurred_at,amount,category\n"
PAID = {
    "business": {"archetype": "contractual"},
    "contract": {"terms_from": "payments", "data_until": "2025-01-01"},
}


def payments():
    """Twenty by the month, two by the quarter, eight once a year, and books now and then."""
    rows = [(f"m{who}", who + 30 * k, 20, MONTHS) for who in range(20) for k in range(11)]
    rows += [(f"q{who}", who + 91 * k, 50, QUARTERS) for who in range(2) for k in range(4)]
    rows += [(f"a{who}", 9 * who, 200, ANNUAL) for who in range(8)]
    rows += [
        (f"m{who}", 7 + who + gap, 15, BOOKS) for who in range(20) for gap in (0, 5, 19, 96, 199)
    ]
    return HEAD + "".join(
        f"{who},{START + timedelta(days=day)},{amount},{what}\n" for who, day, amount, what in rows
    )


def periods(folder, **contract):
    sections = PAID | {"contract": PAID["contract"] | contract}
    _, history, counts = business(folder, {"transactions": payments()}, **sections)
    return {each.category: each for each in read_periods(history.connection)}, history, counts


def test_a_plan_of_a_few_payers_has_its_own_period(tmp_path):
    found, _, _ = periods(tmp_path)
    assert {name: (each.days, each.source) for name, each in found.items()} == {
        MONTHS: (31, "own"),
        QUARTERS: (92, "own"),
        BOOKS: (62, "own"),
        ANNUAL: (31, "all"),
    }


def test_what_is_irregular_or_guessed_is_named_with_what_to_type(tmp_path):
    named = findings(tmp_path, {"transactions": payments()}, **PAID)
    assert 'term_days = { "Books" = … }' in named["irregular_payments", "contracts"]["fix"]
    assert named["guessed_terms", "contracts"]["counts"] == {"payments": 8, "days": 31}


def test_terms_of_payments_are_never_asked_for_auto_renew(tmp_path):
    """They have no SELECT in which it could be selected."""
    days = (
        (f"m{who}", START + timedelta(days=who + 31 * k)) for who in range(30) for k in range(9)
    )
    paid = HEAD + "".join(f"{who},{day},20,{MONTHS}\n" for who, day in days)
    named = findings(tmp_path, {"transactions": paid}, **PAID)
    assert ("renewals_unstated", "contracts") not in named


def test_check_prints_how_long_the_payments_of_each_category_pay_for(tmp_path):
    settings, history, counts = business(tmp_path, {"transactions": payments()}, **PAID)
    text = report_text(build_report(history, counts, settings, now=NOW))
    assert "220 payments of Monthly: 31 days, as 200 of 200 of them lie apart" in text
    assert "8 payments of Annual: 31 days, as all payments lie apart" in text


def test_stated_days_count_and_none_is_no_term(tmp_path):
    found, _, counts = periods(tmp_path, term_days={ANNUAL: 366, BOOKS: 0})
    assert (found[ANNUAL].days, found[ANNUAL].source) == (366, "stated")
    # Purchases that pay for no term are no rows of contracts: read = kept + rejected.
    assert (counts["contracts"].read, counts["contracts"].kept) == (236, 236)
    named = findings(
        tmp_path,
        {"transactions": payments()},
        **(PAID | {"contract": PAID["contract"] | {"term_days": {ANNUAL: 366, BOOKS: 0}}}),
    )
    assert not {"irregular_payments", "guessed_terms"} & {name for name, _ in named}
