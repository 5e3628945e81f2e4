"""`lifecycle check` on terms: what is named, and nothing where they are plausible."""

from __future__ import annotations

from tests.support.plausible_business import day, findings, names

CONTRACTUAL = {
    "business": {"archetype": "contractual"},
    "activity": {"table": "interactions", "kinds": ["visit"]},
    "contract": {"data_until": day(366), "fresh_until": {"contracts": day(366)}},
}


def members(terms=None, visits=None):
    """Forty members with monthly terms in one chain each, a tenth of which ends halfway."""
    if terms is None:
        terms = [
            f"c{who:02d},{day(start)},{day(start + 30)},{day(start - 1)}"
            for who in range(40)
            for start in range(who % 25, 340 if who >= 4 else 150, 30)
        ]
    if visits is None:
        visits = [
            f"c{who:02d},{day(at)},visit"
            for who in range(40)
            for at in range(who % 25, 366 if who >= 4 else 170, 5)
        ]
    return {
        "contracts": "customer_id,starts_at,ends_at,recorded_at\n" + "\n".join(terms) + "\n",
        "interactions": "customer_id,occurred_at,kind\n" + "\n".join(visits) + "\n",
    }


def contract_names(folder, tables):
    named = findings(folder, tables, **CONTRACTUAL)
    return {name: named[name, table]["counts"] for name, table in named}


def test_terms_that_are_plausible_have_none(tmp_path):
    assert contract_names(tmp_path, members()) == {}


def test_first_terms_that_renew_without_saying_so_are_named(tmp_path):
    """On the night of renewal nothing tells such a customer from one who left."""
    late = members()
    late["contracts"] = late["contracts"].replace(",recorded_at", "", 1)
    lines = late["contracts"].splitlines()
    late["contracts"] = "\n".join([lines[0], *(one.rsplit(",", 1)[0] for one in lines[1:])]) + "\n"
    assert contract_names(tmp_path, late) == {"renewals_unstated": {"ended": 40, "followed": 40}}
    settings = {"tables": {"contracts": "SELECT *, true AS auto_renew FROM contracts_file"}}
    assert names(findings(tmp_path, late, **CONTRACTUAL, **settings)) == []


def test_rejected_terms_are_named_however_few(tmp_path):
    tables = members()
    tables["contracts"] += f"c39,{day(350)},{day(349)},{day(349)}\n"
    assert contract_names(tmp_path, tables)["terms_rejected"]["rejected"] == 1


def test_events_outside_of_cover(tmp_path):
    late = [f"c{who:02d},{day(at)},visit" for who in range(40) for at in range(0, 366, 5)]
    terms = [f"c{who:02d},{day(who)},{day(who + 120 + who)},{day(who - 1)}" for who in range(40)]
    counts = contract_names(tmp_path, members(terms, late))["events_outside_cover"]
    assert counts["rows"] == 40 * 74
    assert 0.5 < counts["outside"] / counts["rows"] < 0.7


def test_an_end_that_nearly_all_terms_share(tmp_path):
    terms = [f"c{who:02d},{day(who)},2025-06-30,{day(who - 1)}" for who in range(40)]
    terms += [f"d{who:02d},{day(who)},{day(who + 99)},{day(who - 1)}" for who in range(5)]
    counts = contract_names(tmp_path, members(terms))["shared_end"]
    assert counts == {"terms": 45, "shared": 40}


def test_covers_that_end_without_any_cancellation_are_named(tmp_path):
    """p_cancelled would say that nobody says a word, where the column is only not selected."""
    lost = [f"c{who:02d},{day(10)},{day(100)},{day(9)}" for who in range(40)]
    kept = [f"r{who:02d},{day(10)},{day(500)},{day(9)}" for who in range(40)]
    assert contract_names(tmp_path, members([*lost, *kept]))["no_cancellation"] == {"terms": 80}
    few = contract_names(tmp_path, members([*lost[:20], *kept]))
    assert "no_cancellation" not in few
    word = members([*lost, *kept])
    word["contracts"] = word["contracts"].replace("recorded_at\n", "recorded_at,cancelled_at\n")
    word["contracts"] = word["contracts"].replace(f"{day(9)}\n", f"{day(9)},\n", 79)
    word["contracts"] = word["contracts"].rstrip("\n") + f",{day(50)}\n"
    assert "no_cancellation" not in contract_names(tmp_path, word)
