"""`lifecycle rollback`: back to what was served before, as the promotion log has it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.core.errors import BadSetting, PromotionRefused, ReleaseRefused, StoreFailed
from serving.api.state import ServingState
from serving.release import release as releases
from serving.release.release_store import served_release_id
from tests.support.businesses import copied
from tests.support.command_line import run_here
from tests.support.damaged_home import reseal, rewrite
from tests.support.tracking_stores import champion, serve
from training import promotion_log
from training.promote import check_successor, promote
from training.rollback import rollback

A, B, C, D = (letter * 16 for letter in "abcd")


@pytest.fixture
def three(release_home):
    """Three releases of the store, which were served one after the other; the newest is served."""
    _, first = release_home
    folder = releases.releases_folder() / first
    names = [first]
    for number in range(2):
        other = folder.with_name(f"copy{number}")
        shutil.copytree(folder, other)
        with (other / "card.md").open("a") as card:
            card.write(f"\nchanged {number}\n")
        names.append(reseal(other).name)
    write_log(line(first, None), line(names[1], first), line(names[2], names[1]))
    (folder.parent / "CURRENT").write_text(names[2] + "\n")
    return names


def log_lines():
    return [json.loads(line) for line in promotion_log.log_path().read_text().splitlines()]


@pytest.mark.long
def test_each_rollback_goes_one_further_back_and_the_log_says_so(three):
    first, second, third = three
    done = run_here("rollback", "--reason", "too many alarms", "--json")
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert (value["release"], value["rolled_back"], value["next"]) == (second, third, first)
    line = log_lines()[-1]
    assert value["promotion"] == line
    assert (line["release"], line["previous"], line["rolled_back"]) == (second, third, third)
    assert line["reason"] == "too many alarms"
    assert served_release_id() == second
    assert [champion(model)[0] for model in ("churn", "next_stage")] == [second] * 2

    said = run_here("rollback").stdout
    assert f"serving release {first}" in said
    assert f"lifecycle promote {second} serves that one again" in said
    assert "no release before it" in said
    assert (served_release_id(), log_lines()[-1]["rolled_back"]) == (first, second)

    refused = run_here("rollback")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"no release before {first} in the log" in refused.stderr
    assert "lifecycle promote ID" in refused.stderr
    assert served_release_id() == first
    # The way forward, and back again.
    assert promote(third).id == served_release_id() == third
    assert rollback().release.id == served_release_id() == first


@pytest.mark.slow
def test_a_running_service_follows(trained_shop, home):
    own = copied(trained_shop, home)
    folder = own.release.folder
    shutil.copytree(folder, folder.with_name("copy"))
    (folder.with_name("copy") / "card.md").write_text("another card")
    other = reseal(folder.with_name("copy")).name
    desk = ServingState.load()
    serve(replace(own.release, id=other))
    desk.refresh()
    assert desk.served.release.id == other
    rollback()
    desk.refresh()
    assert (desk.served.release.id, desk.problem) == (own.release.id, "")


@pytest.mark.long
def test_a_release_that_is_gone_or_damaged_is_named_with_the_next_older_one(three):
    first, second, third = three
    folder = releases.releases_folder()
    rewrite(folder / second / "models.json", damaged=True)
    for got in ("not as they were written", "no such release"):
        before = log_lines()
        with pytest.raises(ReleaseRefused, match=second) as refused:
            rollback()
        assert got in refused.value.got
        assert f"lifecycle promote {first}" in refused.value.fix
        assert (served_release_id(), log_lines()) == (third, before)
        shutil.rmtree(folder / second, ignore_errors=True)
    shutil.rmtree(folder / first)
    with pytest.raises(ReleaseRefused, match="No older release of the log loads"):
        rollback()


def test_where_the_served_release_is_gone_the_one_before_is_served(three):
    _, second, third = three
    shutil.rmtree(releases.releases_folder() / third)
    assert served_release_id() is None
    result = rollback()
    assert (result.release.id, result.left, served_release_id()) == (second, third, second)


@pytest.mark.slow
@pytest.mark.long
def test_what_was_rolled_back_is_served_again_by_its_id_alone(three, trained_shop):
    _, second, third = three
    rollback(reason="wrong prices")
    rewrite(
        releases.releases_folder() / third / "manifest.json", made_at="2999-01-01T00:00:00+00:00"
    )
    with pytest.raises(PromotionRefused, match=r"it was rolled back at .*: wrong prices"):
        promote()
    assert served_release_id() == second
    assert check_successor(replace(trained_shop.release, id=D)).objections == ()
    promote(third)
    assert check_successor(replace(trained_shop.release, id=third)).objections == ()


def test_nothing_before_says_what_to_type(release_home, trained_shop):
    _, name = release_home
    with pytest.raises(ReleaseRefused, match="no promotion in the log") as refused:
        rollback()
    assert name in refused.value.fix
    shutil.rmtree(releases.releases_folder() / name)
    with pytest.raises(ReleaseRefused, match="lifecycle train"):
        rollback()


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 501])
def test_a_reason_is_one_short_line(home, reason):
    with pytest.raises(BadSetting, match="--reason"):
        rollback(reason=reason)
    assert not list(home.iterdir())


def test_where_current_cannot_be_written_nothing_is_recorded(three):
    before, current = log_lines(), releases.releases_folder() / "CURRENT"
    current.unlink()
    (current / "file").mkdir(parents=True)
    with pytest.raises(StoreFailed):
        rollback()
    assert log_lines() == before


def write_log(*lines, torn=""):
    promotion_log.log_path().parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines)
    promotion_log.log_path().write_text(text + torn)


def line(release, previous, rolled_back=None):
    value = {"release": release, "previous": previous}
    return value | ({"rolled_back": rolled_back} if rolled_back else {})


@pytest.mark.parametrize(
    ("lines", "served", "order"),
    [
        ([line(A, None), line(B, A), line(B, B)], B, [A, B]),
        # Promoted again by hand: that is what was served before.
        ([line(A, None), line(B, A), line(A, B)], A, [A, B, A]),
        # Killed between the line and CURRENT: a promotion, and a rollback.
        ([line(A, None), line(B, A)], A, [A]),
        ([line(A, None), line(B, A), line(C, A)], C, [A, C]),
        ([line(A, None), line(B, A), line(A, B, B)], B, [A, B]),
        # CURRENT was written by hand, and before there was a log.
        ([line(A, None)], D, [A, D]),
        ([line(B, A)], B, [A, B]),
        ([], A, [A]),
        ([], None, []),
        # Two rollbacks at once.
        ([line(A, None), line(B, A), line(C, B), line(B, C, C), line(B, C, C)], B, [A, B]),
    ],
)
def test_current_decides_where_the_log_differs(home, lines, served, order):
    write_log(*lines, torn='{"release": "')
    assert promotion_log.serving_order(served) == order


@given(st.lists(st.sampled_from("ABCDE<"), max_size=12))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_is_that_of_a_stack(home, steps):
    """`<` is a rollback; a letter promotes that release."""
    stack, lines = [], []
    for step in steps:
        previous = stack[-1] if stack else None
        if step == "<":
            if len(stack) > 1:
                stack.pop()
                lines.append(line(stack[-1], previous, previous))
        else:
            lines.append(line(step, previous))
            stack += [step] * (step != previous)
    write_log(*lines)
    assert promotion_log.serving_order(stack[-1] if stack else None) == stack
