"""`lifecycle init` finds the person of every file by the values that the files share."""

from __future__ import annotations

import pytest

from features.core.settings import load_settings
from features.tables.history import load_history
from lifecycle import init
from lifecycle.init.questions import Answers
from tests.support.init_data import guessed, put, rows


def orders(write_id=lambda n: f"C{n:03d}", head: str = "order_id,customer_id,date,amount"):
    return head, [
        f"{7000 + n},{write_id(n % 30)},2024-{1 + n % 6:02d}-{1 + n % 28:02d},{n}.25"
        for n in range(120)
    ]


def test_of_several_ids_the_one_that_other_files_have_is_the_person(tmp_path):
    sales = put(tmp_path, "orders.csv", *orders())
    tickets = put(
        tmp_path,
        "tickets.csv",
        "ID,Requester id,Requester external id,Assignee id,Created at,Solved at",
        [f"{n},{50_000 + n % 20},C{n % 20:03d},9{n % 3},2024-03-01 10:00," for n in range(40)],
    )
    guesses, _, _, found, counts = guessed(tmp_path, sales, tickets)
    assert {row["customer_id"] for row in rows(found, "feedback")} == {
        f"C{n:03d}" for n in range(20)
    }
    assert counts["feedback"].kept == 40  # two of each person, told apart by their ID
    reason = guesses["tables.feedback"]["reason"]
    assert (
        "Requester external id names the customer: 20 people, 20 of them in other files" in reason
    )


def test_a_column_that_differs_in_every_row_is_the_key_and_not_the_person(tmp_path):
    path = put(
        tmp_path,
        "payments.csv",
        "id,amount,created,customer_email",
        [f"{n},{n}.5,2024-01-{1 + n % 28:02d},Who{n % 9}@X.org" for n in range(90)],
    )
    _, _, _, found, _ = guessed(tmp_path, path)
    kept = rows(found, "transactions")
    assert {row["customer_id"] for row in kept} == {f"who{n}@x.org" for n in range(9)}
    assert {row["transaction_id"] for row in kept} == {str(n) for n in range(90)}


def test_one_person_is_written_differently_in_each_file(tmp_path):
    files = [
        put(tmp_path, "orders.csv", *orders(lambda n: f"'{n:05d}")),
        put(
            tmp_path,
            "customers.csv",
            "Customer ID,City,Signup date",
            [f"{n:05d},Hove,2023-01-{1 + n % 28:02d}" for n in range(30)],
        ),
    ]
    guesses, _, _, found, _ = guessed(tmp_path, *files)
    assert {row["customer_id"] for row in rows(found, "transactions")} == {
        row["customer_id"] for row in rows(found, "customers")
    }
    assert "30 people, 30 of them in other files too" in guesses["tables.customers"]["reason"]


def test_e_mails_are_one_person_in_any_case(tmp_path):
    path = put(
        tmp_path, "orders.csv", *orders(lambda n: f"Ann{n}@x.org" if n % 2 else f"ANN{n}@X.ORG")
    )
    _, _, _, found, _ = guessed(tmp_path, path)
    assert {row["customer_id"] for row in rows(found, "transactions")} == {
        f"ann{n}@x.org" for n in range(30)
    }


def test_guests_are_asked_about_and_their_e_mail_is_the_default(tmp_path):
    lines = [
        f"{n},{0 if n % 3 == 0 else n % 40 + 1},p{n % 60}@x.org,2024-01-{1 + n % 28:02d},{n}.5"
        for n in range(240)
    ]
    path = put(tmp_path, "sales.csv", "order_id,customer_id,billing_email,order_date,total", lines)
    guesses, _, _, found, _ = guessed(tmp_path, path)
    reason = guesses["tables.transactions"]["reason"]
    assert "CHECK: customer_id of sales.csv is '0' on 80 of 240 rows, as for guests" in reason
    assert len({row["customer_id"] for row in rows(found, "transactions")}) == 60


def test_guests_without_an_e_mail_are_left_out_and_counted(tmp_path):
    lines = [
        f"{n},{'guest' if n % 3 == 0 else n % 40},2024-01-{1 + n % 28:02d},{n}.5"
        for n in range(240)
    ]
    path = put(tmp_path, "sales.csv", "order_id,customer_id,order_date,total", lines)
    guesses, _, _, _, counts = guessed(tmp_path, path)
    assert counts["transactions"].read == 160
    assert "80 of 240 rows are left out: of nobody" in guesses["tables.transactions"]["reason"]


GUESTS = [
    f"A{n},{'' if n % 3 == 0 else f'K{n % 20}'},p{n % 20}@x.org,2024-01-{1 + n % 28:02d},{n + 1}.5"
    for n in range(120)
]
GUEST_ANSWERS = {  # customers, and orders that are read
    "": (40, 120),  # each of twenty people with an account and as a guest
    "email": (20, 120),
    "leave_out": (20, 80),
}


@pytest.mark.parametrize("answer", GUEST_ANSWERS)
def test_guests_without_an_id_are_asked_about_with_their_count(tmp_path, answer):
    path = put(tmp_path, "sales.csv", "order_id,account_id,email,order_date,total", GUESTS)
    answers = Answers({"sales.account_id_empty": answer} if answer else {})
    out = tmp_path / "one.toml"
    init.write([path], out, answers)
    question = answers.questions["sales.account_id_empty"]
    assert "account_id of sales.csv is empty on 40 of 120 rows" in question.text
    history, counts = load_history(load_settings(out))
    people = {row["customer_id"] for row in rows(history, "transactions")}
    assert (len(people), counts["transactions"].read) == GUEST_ANSWERS[answer]
    assert f"{len(people):,} customers" in next(
        each.meaning for each in question.answers if each.value == (answer or "email_there")
    )


def test_a_third_file_that_has_both_ids_joins_two_files(tmp_path):
    sales = put(
        tmp_path, "orders.csv", *orders(lambda n: f"ann{n}@x.org", "order,email,date,total")
    )
    people = put(
        tmp_path,
        "users.csv",
        "user_id,email,registered",
        [f"{900 + n},Ann{n}@x.org,2023-01-{1 + n % 28:02d}" for n in range(30)],
    )
    tickets = put(
        tmp_path,
        "tickets.csv",
        "ticket,user_id,opened,closed",
        [f"{n},{900 + n % 30},2024-02-{1 + n % 28:02d} 10:{n % 60:02d}," for n in range(50)],
    )
    guesses, _, _, found, _ = guessed(tmp_path, sales, people, tickets)
    everybody = {row["customer_id"] for row in rows(found, "customers")}
    assert {row["customer_id"] for row in rows(found, "transactions")} == everybody
    assert {row["customer_id"] for row in rows(found, "feedback")} == everybody
    reasons = " ".join(guess["reason"] for guess in guesses.values())
    assert "users.csv has it beside" in reasons


def test_columns_without_telling_names_are_used_where_nothing_else_can_be_them(tmp_path):
    head, lines = orders(head="a,b,c,d")
    guesses, _, _, found, _ = guessed(tmp_path, put(tmp_path, "x.csv", head, lines))
    assert len({row["customer_id"] for row in rows(found, "transactions")}) == 30
    reason = guesses["tables.transactions"]["reason"]
    for name, role in (("c", "occurred_at"), ("d", "amount")):
        assert f"CHECK: {name} is used as {role} only because no other column can be it" in reason
    assert "CHECK: b is used as the customer only because its values repeat" in reason


def test_files_of_two_ids_are_joined_by_the_office_that_has_both(tmp_path):
    """Numbers in one file, e-mails in two, and one list that has both."""
    people = range(100, 140)
    office = put(
        tmp_path,
        "office.csv",
        "Schüler-Nr,E-Mail,Angemeldet am",
        [f"{n},ann{n}@x.org,2023-01-{1 + n % 28:02d}" for n in people],
    )
    lessons = put(
        tmp_path,
        "lessons.csv",
        "lesson_id,student_id,starts_at,attendance",
        [
            f"L{k},{n}.0,2024-0{1 + k % 6}-{1 + n % 28:02d} 18:00,{('attended', 'missed')[k % 2]}"
            for k, n in enumerate([*people] * 6)
        ],
    )
    surveys = put(
        tmp_path,
        "surveys.csv",
        "E-Mail,Versendet,Beantwortet,NPS",
        [f"Ann{n}@x.org,2024-03-01 09:00,2024-03-02 09:00,{n % 11}" for n in people],
    )
    sales = put(
        tmp_path,
        "sales.csv",
        "order_id,customer_email,date,amount",
        [f"A{k},ann{n}@x.org,2024-02-{1 + n % 28:02d},{n}.5" for k, n in enumerate([*people] * 2)],
    )
    _, page, _, found, _ = guessed(tmp_path, office, lessons, surveys, sales)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert set(ids) == {"customers", "transactions", "interactions", "feedback"}
    assert len({frozenset(each) for each in ids.values()}) == 1
    assert "is another id" in page
    assert {row["kind"] for row in rows(found, "interactions")} == {"visit", "missed"}


def test_zeros_that_one_file_lost_are_no_other_people(tmp_path):
    with_zeros = put(
        tmp_path,
        "orders.csv",
        "order_id,Kundennr,date,amount",
        [f"A{n},{n % 30:05d},2024-01-{1 + n % 28:02d},{n}.5" for n in range(90)],
    )
    without = put(
        tmp_path,
        "visits.csv",
        "Kundennr,visited_at,kind",
        [f"{n % 30},2024-02-{1 + n % 28:02d} 10:{n % 60:02d},visit" for n in range(90)],
    )
    _, page, _, found, _ = guessed(tmp_path, with_zeros, without)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert len(ids["transactions"] | ids["interactions"]) == 30
    assert "zeros" in page


def test_ids_that_two_files_write_in_another_case_are_one_person(tmp_path):
    sales = put(tmp_path, "orders.csv", *orders(lambda n: f"KU-{n:03d}"))
    people = put(
        tmp_path,
        "customers.csv",
        "customer_id,joined",
        [f"ku-{n:03d},2023-01-{1 + n % 28:02d}" for n in range(30)],
    )
    _, page, _, found, _ = guessed(tmp_path, sales, people)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert ids["transactions"] == ids["customers"]
    assert "30 people are in other files in another case" in " ".join(page.replace("#", "").split())


def test_ids_of_one_file_that_differ_by_case_alone_are_not_joined_and_named(tmp_path):
    """Some systems give ids in which aB and Ab are two people."""
    sales = put(tmp_path, "orders.csv", *orders(lambda n: f"{'kK'[n % 2]}u{n // 2:03d}"))
    people = put(
        tmp_path,
        "customers.csv",
        "customer_id,joined",
        [f"ku{n:03d},2023-01-{1 + n % 28:02d}" for n in range(15)],
    )
    _, page, _, found, _ = guessed(tmp_path, sales, people)
    assert len({row["customer_id"] for row in rows(found, "transactions")}) == 30
    words = " ".join(page.replace("#", "").split())
    assert "customer_id: 15 people are in other files in another case, and are not joined" in words


def visits(write_id, head="Kundennr,visited_at,kind"):
    return head, [
        f"{write_id(n)},2024-02-{1 + n % 28:02d} 10:{n % 60:02d},visit" for n in range(450)
    ]


def test_zeros_are_missing_from_the_short_ids_alone(tmp_path):
    """001 to 150 without zeros are 1 to 150: a third of them look alike in both files."""
    sales = put(tmp_path, "orders.csv", *orders(lambda n: f"{n % 30 + 85:03d}"))
    seen = put(tmp_path, "visits.csv", *visits(lambda n: n % 150 + 1))
    _, page, _, found, _ = guessed(tmp_path, sales, seen)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert ids["transactions"] < ids["interactions"]
    assert len(ids["interactions"]) == 150
    assert "because 15 people are in other files with other zeros" in " ".join(
        page.replace("#", "").split()
    )


def test_zeros_that_a_file_lost_are_found_beside_another_id_of_it(tmp_path):
    sales = put(tmp_path, "orders.csv", *orders(lambda n: f"{n:05d}"))
    seen = put(
        tmp_path,
        "visits.csv",
        *visits(lambda n: f"{n % 30 + 500},{n % 30}", "member_id,Kundennr,visited_at,kind"),
    )
    *_, found, _ = guessed(tmp_path, sales, seen)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert ids["transactions"] == ids["interactions"] == {f"{n:05d}" for n in range(30)}


def test_the_file_with_both_ids_may_have_lost_the_zeros(tmp_path):
    sales = put(tmp_path, "orders.csv", *orders(lambda n: f"{n:05d}"))
    people = put(
        tmp_path,
        "customers.csv",
        "customer_id,email,joined",
        [f"{n},a{n}@x.org,2023-01-{1 + n % 28:02d}" for n in range(30)],
    )
    surveys = put(
        tmp_path,
        "surveys.csv",
        "email,sent,answered,NPS",
        [f"a{n}@x.org,2024-03-01 09:00,2024-03-02 09:00,{n % 11}" for n in range(30)],
    )
    *_, found, _ = guessed(tmp_path, sales, people, surveys)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert set(ids) == {"customers", "transactions", "feedback"}
    assert ids["customers"] == ids["transactions"] == ids["feedback"]


@pytest.mark.parametrize(
    ("files", "small"),
    [("most by the account", True), ("most by the number", True), ("most by the number", False)],
)
def test_a_list_with_both_ids_joins_files_of_either(tmp_path, files, small):
    """Payments know a number, the others an account, which one of them writes in small letters."""
    account = [f"ACC-{n:05d}" for n in range(12)]
    paid = put(
        tmp_path,
        "payments.csv",
        "Customer no,Booked,Amount",
        [f"{n % 12 + 1},2024-{1 + n // 12:02d}-02 10:00,21.00" for n in range(144)],
    )
    people = put(
        tmp_path,
        "accounts.csv",
        "Account,Customer no,Country",
        [f"{account[n]},{n + 1},IE" for n in range(12)],
    )
    logins = put(
        tmp_path,
        "logins.csv",
        "Account,ts,event",
        [f"{account[n % 12]},2024-{1 + n // 12:02d}-03 09:00,login" for n in range(144)],
    )
    tickets = put(
        tmp_path,
        "tickets.csv",
        "Ticket,Account,Opened,Type",
        [
            f"{n},{account[n % 12].lower() if small else account[n % 12]},2024-03-11,complaint"
            for n in range(24)
        ],
    )
    reviews = put(
        tmp_path,
        "reviews.csv",
        "Customer no,Written,Stars" if files == "most by the number" else "Account,Written,Stars",
        [
            f"{n % 12 + 1 if files == 'most by the number' else account[n % 12]},2024-04-11,4"
            for n in range(24)
        ],
    )
    *_, found, _ = guessed(tmp_path, paid, people, logins, tickets, reviews)
    ids = {table: {row["customer_id"] for row in rows(found, table)} for table in found.names}
    assert {len(each) for each in ids.values()} == {12}
    assert len(set().union(*ids.values())) == 12


@pytest.mark.parametrize(
    "header",
    ["Notice received", "Termination notice", "Terminated on", "Withdrawn"],
)
def test_the_day_of_a_cancellation_has_many_names(tmp_path, header):
    terms = put(
        tmp_path,
        "contracts.csv",
        f"Account,Plan,Start,End,{header},Fee",
        [
            f"A{n:03d},Basic,2024-{1 + n % 9:02d}-02,2024-{2 + n % 9:02d}-02,"
            f"{'2024-0' + str(1 + n % 9) + '-20' if n % 4 == 0 else ''},21.00"
            for n in range(60)
        ],
    )
    used = put(
        tmp_path,
        "logins.csv",
        "Account,ts,event",
        [f"A{n % 60:03d},2024-0{1 + n % 9}-03 09:00,login" for n in range(300)],
    )
    *_, found, _ = guessed(tmp_path, terms, used)
    cancelled = [row["cancelled_at"] for row in rows(found, "contracts")]
    assert sum(each is not None for each in cancelled) == 15
