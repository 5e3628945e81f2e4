"""Who a row is about is decided by the values that files share, never by names."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle.init.people import PersonValues, choose_people

CONNECTION = duckdb.connect()


def values(words: list[str]) -> PersonValues:
    listed = ", ".join(f"('{word}')" for word in words) or "(NULL)"
    return PersonValues(f"SELECT * FROM (VALUES {listed})")


def choose(**candidates: list[list[str]]):
    listed = {name: [values(words) for words in each] for name, each in candidates.items()}
    return choose_people(CONNECTION, listed)


def test_the_pair_with_the_most_people_in_common_comes_first():
    mails = [f"p{n}@x.org" for n in range(20)]
    choices = choose(
        orders=[mails, [f"c{n}" for n in range(20)]],
        # The desk's own numbers come first, and meet nobody.
        tickets=[[f"7{n}" for n in range(9)], [f"c{n}" for n in range(3)], mails[:9]],
        surveys=[[f"c{n}" for n in range(5)]],
    )
    assert [choices[name].number for name in ("orders", "tickets", "surveys")] == [0, 2, 0]
    assert (choices["tickets"].people, choices["tickets"].shared) == (9, 9)
    assert (choices["orders"].people, choices["orders"].shared) == (20, 9)
    # Nobody of the surveys is named by an e-mail: they are said to meet nobody.
    assert choices["surveys"].shared == 0


def test_case_and_spaces_do_not_part_people():
    choices = choose(one=[["Ann@X.org ", "BOB@x.org"]], two=[[" ann@x.org", "cy@x.org"]])
    assert (choices["one"].shared, choices["two"].shared) == (1, 1)


def test_alone_a_file_has_its_fullest_column():
    # Guests have an e-mail and no account.
    [choice] = choose(orders=[["7", "7", "8"], ["a@x", "a@x", "b@x", "c@x"]]).values()
    assert (choice.number, choice.people, choice.shared) == (1, 3, None)
    assert choice.share_note == "3 people"


def test_a_column_without_a_value_is_chosen_only_if_there_is_no_other():
    assert choose(orders=[[], ["a"]], other=[["a"]])["orders"].number == 1
    assert choose(orders=[[]])["orders"].people == 0


people = st.lists(st.sampled_from("abcdefgh"), max_size=8)
files = st.dictionaries(
    st.sampled_from(["f1", "f2", "f3"]), st.lists(people, min_size=1, max_size=3), min_size=1
)


@settings(max_examples=25, deadline=None)
@given(files)
def test_the_choice_is_one_of_the_candidates_and_its_figures_are_true(candidates):
    choices = choose(**candidates)
    assert set(choices) == set(candidates)
    chosen = {name: set(candidates[name][each.number]) for name, each in choices.items()}
    for name, each in choices.items():
        others = set().union(*(chosen[other] for other in chosen if other != name))
        assert each.people == len(chosen[name])
        assert each.shared == (len(chosen[name] & others) if len(chosen) > 1 else None)
    # Where any two columns of two files meet, the two that share the most are chosen.
    shared = [
        len(set(one) & set(other))
        for a, listed in candidates.items()
        for b, more in candidates.items()
        if a < b
        for one in listed
        for other in more
    ]
    if any(shared):
        pairs = [len(chosen[a] & chosen[b]) for a in chosen for b in chosen if a < b]
        assert max(pairs) == max(shared)


@settings(max_examples=10, deadline=None)
@given(files)
def test_further_columns_that_meet_nobody_change_no_choice(candidates):
    more = {
        name: [*listed, [f"{name} {n}" for n in range(9)]] for name, listed in candidates.items()
    }
    before, after = choose(**candidates), choose(**more)
    for name in candidates:
        if before[name].shared:
            assert after[name].number == before[name].number
