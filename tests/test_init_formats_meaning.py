"""What known exports mean: refunds, guests, currencies, files that overlap, subscriptions."""

from __future__ import annotations

import pytest

from features.core.errors import BadSetting, SnapshotRefused
from features.plausibility.rows import find_rows
from features.tables.history import load_history
from features.tables.snapshots import refuse_snapshots
from lifecycle import init
from tests.support import format_files as exports
from tests.support.format_files import SNAPSHOTS, file_of, save, table, totals
from tests.support.init_data import guessed, rows

# Rows that are left out, and refunds --------------------------------------------------------------


def test_what_is_left_out_is_counted(tmp_path):
    guesses, *_ = guessed(tmp_path, file_of(tmp_path, exports.SHOPIFY_ORDERS))
    reason = guesses["tables.transactions"]["reason"]
    assert "left out: 1 rows that are further lines of an order." in reason
    assert "left out: 1 rows of orders that are not paid yet." in reason


def test_a_refund_has_its_own_id_its_own_time_and_the_person_of_its_payment(tmp_path):
    _, _, _, history, _ = guessed(tmp_path, file_of(tmp_path, exports.STRIPE_PAYMENTS))
    by_id = {row["transaction_id"]: row for row in rows(history, "transactions")}
    paid, refund = by_id["ch_2"], by_id["ch_2#refund"]
    assert (refund["kind"], refund["customer_id"]) == ("refund", paid["customer_id"])
    days = (refund["occurred_at"] - paid["occurred_at"]) / 86_400_000_000
    assert days == pytest.approx(58 - 2 / 24)


def test_without_a_time_of_its_own_a_refund_has_that_of_the_payment_and_says_so(tmp_path):
    guesses, _, _, history, _ = guessed(tmp_path, file_of(tmp_path, exports.SHOPIFY_ORDERS))
    by_id = {row["transaction_id"]: row for row in rows(history, "transactions")}
    assert by_id["#2#refund"]["occurred_at"] == by_id["#2"]["occurred_at"]
    assert "as no column has it" in guesses["tables.transactions"]["reason"]


def test_a_paypal_refund_is_of_the_person_to_whom_the_money_went(tmp_path):
    text = exports.PAYPAL.text.replace("General Withdrawal", "Payment Reversal", 1)
    text = text.replace(",,,T4,", ",shop@x.org,Bob@x.org,T4,")
    _, _, _, history, _ = guessed(tmp_path, save(tmp_path, "export.csv", text))
    got = {
        row["transaction_id"]: (row["kind"], row["customer_id"], row["amount"])
        for row in rows(history, "transactions")
    }
    assert got["T3"] == ("refund", "ann@x.org", -5_000)
    assert got["T4"] == ("refund", "bob@x.org", -30_000)
    assert "T6" not in got  # an own purchase: money went out, and it is no refund


def test_an_unknown_status_is_named_and_its_rows_are_rejected(tmp_path):
    text = exports.STRIPE_PAYMENTS.text.replace("Incomplete", "Levitating")
    guesses, _, _, history, counts = guessed(tmp_path, save(tmp_path, "export.csv", text))
    assert "CHECK:" in guesses["tables.transactions"]["reason"]
    assert "'levitating' (1 rows)" in guesses["tables.transactions"]["reason"]
    assert counts["transactions"].rejected == {"kind_unknown": 1}
    assert totals(history, "transactions")["purchase"] == (3, 9000)


def test_a_rejected_row_of_an_export_is_named_by_its_row(tmp_path):
    text = exports.STRIPE_PAYMENTS.text.replace("ch_5,2024-01-06", "ch_5,yesterday").replace(
        "Test", "Live"
    )
    *_, history, _ = guessed(tmp_path, save(tmp_path, "export.csv", text))
    rejected = history.connection.execute("SELECT file, file_row, reason FROM rejects").fetchall()
    assert rejected == [("export.csv", 6, "occurred_at_not_an_instant")]


def test_cancelled_orders_are_no_finding_of_their_own(tmp_path):
    # A void without a purchase withdraws nothing, so nothing was replaced by a later row.
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, **{"Financial Status": "voided"})
    more = file_of(tmp_path, exports.RECURLY, "more.csv", currency="EUR")
    _, _, settings, history, counts = guessed(tmp_path, orders, more)
    assert totals(history, "transactions")["void"][0] > 2
    findings = find_rows(history, counts, settings)
    assert "superseded_rows" not in {finding.name for finding in findings}


# Times and amounts --------------------------------------------------------------------------------


def test_times_keep_their_offset_and_their_zone(tmp_path):
    at = {}
    for example in (exports.SHOPIFY_ORDERS, exports.SQUARE, exports.RECURLY, exports.PAYPAL):
        folder = tmp_path / example.format.replace(" ", "_")
        folder.mkdir()
        _, _, _, history, _ = guessed(folder, file_of(folder, example))
        first = history.connection.execute(
            "SELECT min(make_timestamp(occurred_at))::VARCHAR FROM transactions"
        ).fetchone()
        at[example.format] = first[0]
    assert at == {
        "Shopify orders": "2024-01-02 10:00:00",
        "Square transactions": "2024-01-03 02:50:48",
        "Recurly transactions": "2024-01-19 19:16:41",
        "PayPal activity": "2024-01-15 22:23:45",
    }


@pytest.mark.parametrize("seconds", [":00", ""])
def test_times_without_seconds_keep_their_offset_too(tmp_path, seconds):
    shop = exports.SHOPIFY_ORDERS.text.replace(":00 +0200", f"{seconds} +0200")
    paid = exports.STRIPE_PAYMENTS.text.replace(":00,", f"{seconds},")
    for text, first in ((shop, "2024-01-02 10:00:00"), (paid, "2024-01-02 10:00:00")):
        folder = tmp_path / str(len(text))
        folder.mkdir()
        _, _, _, history, counts = guessed(folder, save(folder, "export.csv", text))
        assert counts["transactions"].rejected == {}
        at = history.connection.execute(
            "SELECT min(make_timestamp(occurred_at))::VARCHAR FROM transactions"
        ).fetchone()
        assert at == (first,)


def test_the_clock_of_a_warehouse_export_is_kept_to_the_microsecond(tmp_path):
    ga4 = file_of(tmp_path, exports.GA4)
    _, _, _, history, _ = guessed(tmp_path, ga4)
    assert min(row["occurred_at"] for row in rows(history, "interactions")) == 1704189600123456


def test_an_answer_to_no_question_is_refused(tmp_path):
    file = file_of(tmp_path, exports.STRIPE_PAYMENTS)
    with pytest.raises(BadSetting, match="do not raise"):
        init.write([file], tmp_path / "x.toml", init.Answers({"curency": "USD"}))
    with pytest.raises(BadSetting, match="KEY="):
        init.parse_answers(["currency"])
    answers = init.parse_answers(["currency=USD", "a.b=c=d"])
    assert answers.given == {"currency": "USD", "a.b": "c=d"}


def test_letters_of_a_zone_are_read_in_summer_too(tmp_path):
    # The configuration is written in winter; the rows of summer come later.
    winter = exports.RECURLY.text.replace("2024-07", "2024-02").replace("PDT", "PST")
    file = save(tmp_path, "export.csv", winter)
    _, _, settings, _, _ = guessed(tmp_path, file)
    file.write_text(exports.RECURLY.text, encoding="utf-8")
    _, counts = load_history(settings)
    assert counts["transactions"].rejected == {}


@pytest.mark.parametrize(("code", "digits"), [("usd", 2), ("jpy", 0), ("kwd", 3)])
def test_the_smallest_unit_depends_on_the_currency(tmp_path, code, digits):
    charges = file_of(tmp_path, exports.STRIPE_CHARGES, currency=code)
    _, _, settings, history, _ = guessed(tmp_path, charges)
    # The contract keeps minor units, so they are those of the file again.
    assert (settings.business.currency, settings.minor_digits) == (code.upper(), digits)
    assert totals(history, "transactions")["purchase"] == (3, 9001)


def test_several_currencies_are_refused_until_one_is_stated(tmp_path):
    text = exports.STRIPE_CHARGES.text.replace("1704189600,usd", "1704189600,eur")
    file = save(tmp_path, "export.csv", text)
    with pytest.raises(BadSetting, match=r"USD \(4 rows\), EUR \(1 rows\)") as refused:
        init.write([file], tmp_path / "x.toml")
    assert "--answer currency=USD" in refused.value.fix
    assert not (tmp_path / "x.toml").exists()
    guesses = init.write([file], tmp_path / "x.toml", init.Answers({"currency": "USD"}))
    reason = next(row["reason"] for row in guesses if row["what"] == "tables.transactions")
    assert "left out: 1 rows in other currencies than USD." in reason


def test_amounts_that_were_converted_to_one_currency_are_read(tmp_path):
    text = exports.STRIPE_PAYMENTS.text.replace("30.00,0.00,usd", "30.00,0.00,chf")
    _, _, settings, history, _ = guessed(tmp_path, save(tmp_path, "export.csv", text))
    assert settings.business.currency == "EUR"
    assert totals(history, "transactions")["purchase"] == (3, 8100)


def test_files_in_two_currencies_are_refused(tmp_path):
    one = file_of(tmp_path, exports.SHOPIFY_ORDERS, "one.csv")
    two = file_of(tmp_path, exports.RECURLY, "two.csv")
    with pytest.raises(BadSetting, match="several currencies"):
        init.write([one, two], tmp_path / "x.toml")


# People -------------------------------------------------------------------------------------------


def test_guests_are_customers_by_e_mail_unless_the_account_is_stated(tmp_path):
    file = file_of(tmp_path, exports.WOOCOMMERCE)
    guesses, _, _, history, _ = guessed(tmp_path, file)
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: 2 of 7 orders have Customer ID 0" in reason
    assert "Billing Email: 3 people, guests too" in reason
    assert {row["customer_id"] for row in rows(history, "transactions")} == (
        exports.WOOCOMMERCE.people
    )
    by_account = init.write([file], tmp_path / "y.toml", init.Answers({"export.person": "account"}))
    assert 'trim("Customer ID")' in (tmp_path / "y.toml").read_text()
    assert len(by_account) == len(guesses)


def test_files_are_joined_by_the_columns_whose_values_overlap(tmp_path):
    # The tickets' own requester id meets nobody; the e-mail does.
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    tickets = file_of(tmp_path, exports.ZENDESK, "tickets.csv")
    contacts = file_of(tmp_path, exports.HUBSPOT, "contacts.csv")
    guesses, *_ = guessed(tmp_path, orders, tickets, contacts)
    assert (
        "customer_id is Requester email (e-mail): 3 people, 3 of them in other files too."
        in guesses["tables.feedback"]["reason"]
    )
    assert (
        "customer_id is Email (e-mail): 2 people, 2 of them in other files too."
        in guesses["tables.customers"]["reason"]
    )


def test_known_files_follow_the_ids_of_files_of_no_format(tmp_path):
    own = "customer_id,date,amount\n" + "".join(
        f"u{n % 3 + 1},2024-01-{n + 1:02d},5.00\n" for n in range(9)
    )
    orders = save(tmp_path, "orders.csv", own)
    tickets = file_of(tmp_path, exports.ZENDESK, "tickets.csv")
    guesses, *_ = guessed(tmp_path, orders, tickets)
    assert "Requester external id (external id)" in guesses["tables.feedback"]["reason"]


# Several files ------------------------------------------------------------------------------------


def test_two_exports_of_one_list_are_united_and_the_newer_row_counts(tmp_path):
    old = save(
        tmp_path,
        "old.csv",
        "\n".join(exports.STRIPE_PAYMENTS.text.splitlines()[:4]).replace("ch_3", "ch_0") + "\n",
    )
    # ch_1 and ch_2 are in both; in the newer export ch_1 is refunded too.
    new_text = exports.STRIPE_PAYMENTS.text.replace("30.00,0.00,usd", "30.00,30.00,usd")
    new = save(tmp_path, "new.csv", new_text)
    results = []
    for name, files in (("a", [old, new]), ("b", [new, old])):
        (tmp_path / name).mkdir()
        guesses, _, _, history, _ = guessed(tmp_path / name, *files)
        results.append(totals(history, "transactions"))
        assert (
            "2 rows are in new.csv too and count once" in (guesses["tables.transactions"]["reason"])
        )
    assert results[0] == results[1]
    assert results[0]["purchase"] == (4, 13000)
    assert results[0]["refund"] == (4, 7000)


def test_payments_for_the_orders_of_another_file_do_not_count_twice(tmp_path):
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv", Currency="USD")
    paid = exports.STRIPE_PAYMENTS.text.splitlines()[0] + "\n"
    for number, (day, amount, mail) in enumerate(
        [("2024-01-02", "30.00", "ann@x.org"), ("2024-01-03", "20.00", "Bob@x.org")]
    ):
        paid += (
            f"ch_{number},{day} 20:00:00,{amount},0.00,usd,true,1.00,0.00,eur,0.30,Live,,Paid,"
            f"cus_{number},{mail}\n"
        )
    payments = save(tmp_path, "payments.csv", paid)
    guesses, _, _, history, _ = guessed(tmp_path, orders, payments)
    assert "2 of its 2 payments are orders of orders.csv" in guesses["files"]["reason"]
    assert totals(history, "transactions")["purchase"] == (5, 12105)
    # Other payments are of other things: they count.
    other = save(tmp_path, "other.csv", paid.replace("30.00", "31.00").replace("20.00", "21.00"))
    (tmp_path / "x").mkdir()
    _, _, _, history, _ = guessed(tmp_path / "x", orders, other)
    assert totals(history, "transactions")["purchase"] == (7, 12105 + 5200)


def test_purchases_of_devices_are_those_of_the_shop(tmp_path):
    # The warehouse knows devices, the shop e-mails: nobody is in both, the money is.
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    text = exports.GA4.text.splitlines()[0] + ",purchase_revenue,transaction_id\n"
    text += "20240102,1704189600123456,purchase,11.1,WEB,30.00,T1\n"
    text += "20240103,1704276000123456,purchase,12.1,WEB,20.00,T2\n"
    text += "20240103,1704276000123457,session_start,12.1,WEB,,\n"
    events = save(tmp_path, "events.csv", text)
    _, _, _, history, _ = guessed(tmp_path, orders, events)
    assert totals(history, "transactions")["purchase"] == (5, 12105)
    assert totals(history, "interactions") == {"purchase": (2, 0), "visit": (1, 0)}
    (tmp_path / "alone").mkdir()
    _, _, _, history, _ = guessed(tmp_path / "alone", events)
    assert totals(history, "transactions") == {"purchase": (2, 5000)}


def test_a_customer_of_two_lists_counts_once(tmp_path):
    shop = file_of(tmp_path, exports.SHOPIFY_CUSTOMERS, "shop.csv")
    mails = file_of(tmp_path, exports.KLAVIYO, "mails.csv")
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    guesses, _, _, history, _ = guessed(tmp_path, shop, mails, orders)
    assert len(rows(history, "customers")) == 3
    assert "2 rows are in" in guesses["tables.customers"]["reason"]


def test_a_repeated_contact_counts_once(tmp_path):
    text = exports.HUBSPOT.text + exports.HUBSPOT.text.splitlines()[1].replace("901", "903") + "\n"
    contacts = save(tmp_path, "contacts.csv", text)
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    guesses, _, _, history, _ = guessed(tmp_path, contacts, orders)
    assert len(rows(history, "customers")) == 2
    assert "1 rows repeat a customer" in guesses["tables.customers"]["reason"]


# Surveys and tickets ------------------------------------------------------------------------------


def test_an_answer_is_known_from_its_own_time_on(tmp_path):
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    surveys = file_of(tmp_path, exports.DELIGHTED, "surveys.csv")
    _, _, _, history, _ = guessed(tmp_path, orders, surveys)
    answers = {row["customer_id"]: row for row in rows(history, "feedback")}
    assert answers["bob@x.org"]["answered_at"] is None
    assert answers["cy@x.org"]["answered_at"] - answers["cy@x.org"]["occurred_at"] == (
        70 * 3_600_000_000
    )


def test_a_ticket_is_resolved_when_it_was_solved_and_rated_when_it_was_updated(tmp_path):
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    tickets = file_of(tmp_path, exports.ZENDESK, "tickets.csv")
    _, _, _, history, _ = guessed(tmp_path, orders, tickets)
    day = 86_400_000_000
    feedback = rows(history, "feedback")
    [rated] = [row for row in feedback if row["kind"] == "csat" and row["score"] == 5]
    assert rated["answered_at"] - rated["occurred_at"] == 2 * day
    open_ = [row for row in feedback if row["kind"] == "complaint" and row["resolved_at"] is None]
    assert len(open_) == 1


# Subscriptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("example", SNAPSHOTS, ids=lambda example: example.format)
def test_subscriptions_alone_are_refused_with_what_is_missing(tmp_path, example):
    file = file_of(tmp_path, example)
    with pytest.raises(SnapshotRefused, match="overwritten") as refused:
        init.write([file], tmp_path / "x.toml")
    assert "payments" in refused.value.fix
    assert not (tmp_path / "x.toml").exists()


def test_with_payments_of_the_same_people_the_payments_are_the_terms(tmp_path):
    subscriptions = file_of(tmp_path, exports.CHARGEBEE_SUBSCRIPTIONS, "subscriptions.csv")
    invoices = file_of(tmp_path, exports.CHARGEBEE_INVOICES, "invoices.csv")
    guesses, _, settings, history, counts = guessed(tmp_path, subscriptions, invoices)
    assert guesses["contract.terms_from"]["guess"] == '"payments"'
    assert (settings.business.archetype, settings.built_terms) == ("contractual", True)
    assert "not used: subscriptions.csv" in guesses["files"]["reason"]
    assert counts["contracts"].kept == 2
    assert not any("Current Term" in select for select in settings.selects.values())
    refuse_snapshots(history)


def test_subscriptions_without_payments_are_named_where_there_is_other_use(tmp_path):
    subscriptions = file_of(tmp_path, exports.STRIPE_SUBSCRIPTIONS, "subscriptions.csv")
    visits = save(
        tmp_path,
        "visits.csv",
        "customer_id,visited_at,event\n"
        + "".join(f"cus_{n % 2 + 1},2024-01-{n + 1:02d} 10:00:00Z,visit\n" for n in range(20)),
    )
    guesses, _, settings, _, counts = guessed(tmp_path, subscriptions, visits)
    assert settings.business.archetype == "non-contractual"
    assert "contracts" not in counts
    assert "CHECK: it has the columns of Stripe subscriptions" in guesses["files"]["reason"]


# Typeform -----------------------------------------------------------------------------------------


def test_which_question_is_the_nps_is_asked_where_several_could_be(tmp_path):
    text = table("""
    #,How easy was it?,How likely would you recommend us?,email,Start Date (UTC),Submit Date (UTC),Network ID
    a1,1,9,ann@x.org,2024-01-02 10:00:00,2024-01-02 10:05:00,n1
    a2,2,8,bob@x.org,2024-01-03 10:00:00,2024-01-03 10:05:00,n2
    """)  # noqa: E501
    form = save(tmp_path, "form.csv", text)
    orders = file_of(tmp_path, exports.SHOPIFY_ORDERS, "orders.csv")
    guesses, _, _, history, _ = guessed(tmp_path, form, orders)
    assert "CHECK: 2 questions have answers from 0 to 10" in guesses["tables.feedback"]["reason"]
    assert totals(history, "feedback") == {"nps": (2, 17)}
    init.write(
        [form, orders], tmp_path / "y.toml", init.Answers({"form.score": "How easy was it?"})
    )
    assert "How easy was it?" in (tmp_path / "y.toml").read_text().split("[tables]")[1]


def test_without_its_column_of_refunds_a_status_is_asked_about(tmp_path):
    text = exports.SHOPIFY_ORDERS.text.replace("Refunded Amount", "Something")
    guesses, _, _, history, _ = guessed(tmp_path, save(tmp_path, "export.csv", text))
    assert totals(history, "transactions")["refund"] == (1, 2000)
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: Financial Status of export.csv says of 1 rows that they were given" in reason
    assert "CHECK: Financial Status says of 1 rows that a part was given back" in reason


def test_the_name_of_a_zone_in_paypal_activity_is_read_with_its_clock_changes(tmp_path):
    text = exports.PAYPAL.text.replace("PST", "America/Los_Angeles")
    text = text.replace("PDT", "America/Los_Angeles")
    _, _, _, history, _ = guessed(tmp_path, save(tmp_path, "export.csv", text))
    hours = {
        row["transaction_id"]: row["occurred_at"] // 3_600_000_000 % 24
        for row in rows(history, "transactions")
    }
    assert (hours["T2"], hours["T3"]) == (17, 16)  # 09:30 of winter and of summer, in UTC
