"""Progress: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import io
import itertools
import threading
from types import SimpleNamespace

import pytest

from features.core import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def undecided():
    yield
    progress.set_quiet(None)


@pytest.fixture
def log(monkeypatch):
    """Standard error that is no terminal."""
    stream = io.StringIO()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
    return stream


@pytest.fixture
def terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(progress, "sys", SimpleNamespace(stderr=stream))
    return stream


def clock(monkeypatch, seconds_a_call):
    """A clock that goes on by a fixed number of seconds whenever somebody looks at it."""
    ticks = itertools.count(step=seconds_a_call)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(ticks)))


def test_a_library_prints_nothing_off_a_terminal(log):
    progress.print_status("training")
    progress.print_step("search", "trial 1")
    assert list(progress.track_steps([1, 2], label="rows")) == [1, 2]
    assert log.getvalue() == ""


def test_the_command_line_prints_one_line_a_phase_off_a_terminal(log):
    progress.set_quiet(False)
    progress.print_status("training")
    assert list(progress.track_steps([1, 2], label="rows")) == [1, 2]
    assert log.getvalue().splitlines() == ["training", "rows: 2 to do"]


def test_a_long_phase_says_every_thirty_seconds_what_is_done(log, monkeypatch):
    clock(monkeypatch, 16)
    progress.set_quiet(False)
    assert list(progress.track_steps(range(5), label="rows")) == [0, 1, 2, 3, 4]
    assert log.getvalue().splitlines() == [
        "rows: 5 to do",
        "rows: 1 of 5 done after 32 s",
        "rows: 3 of 5 done after 64 s",
    ]


def test_steps_without_a_length_count_what_is_done(log, monkeypatch):
    clock(monkeypatch, 31)
    progress.set_quiet(False)
    assert list(progress.track_steps(iter("ab"), label="rows")) == ["a", "b"]
    assert log.getvalue().splitlines() == [
        "rows",
        "rows: 0 done after 31 s",
        "rows: 1 done after 62 s",
    ]


def test_steps_of_one_label_share_a_line_every_thirty_seconds(log, monkeypatch):
    clock(monkeypatch, 16)
    progress.set_quiet(False)
    for number in range(4):
        progress.print_step("search", f"trial {number}")
    progress.print_step("another search", "trial 0")
    assert log.getvalue().splitlines() == [
        "search: trial 0",
        "search: trial 2",
        "another search: trial 0",
    ]


def test_a_terminal_sees_every_step(terminal):
    for number in range(2):
        progress.print_step("search", f"trial {number}")
    assert terminal.getvalue() == "search: trial 0\nsearch: trial 1\n"


@pytest.mark.parametrize("where", ["log", "terminal"])
def test_quiet_prints_nothing(where, request):
    stream = request.getfixturevalue(where)
    progress.set_quiet(True)
    progress.print_status("training")
    progress.print_step("search", "trial 1")
    assert list(progress.track_steps([1, 2], label="rows")) == [1, 2]
    assert stream.getvalue() == ""


def test_a_terminal_draws_a_bar(terminal, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "rich.progress.track",
        lambda items, *, description, total, **_: drawn.append((description, total)) or items,
    )
    assert list(progress.track_steps([1, 2], label="rows")) == [1, 2]
    assert drawn == [("rows", 2)]


def test_an_interrupt_whose_exception_was_dropped_ends_the_work_at_the_next_step(monkeypatch):
    """Python drops it where it arrives within a finaliser."""
    interrupted = threading.Event()
    monkeypatch.setattr(progress, "INTERRUPTED", interrupted)
    progress.print_status("before")
    interrupted.set()
    for step in (
        lambda: progress.print_status("a phase"),
        lambda: progress.print_step("label", "a step"),
        progress.stop_if_interrupted,
    ):
        with pytest.raises(KeyboardInterrupt):
            step()


def test_a_closed_stream_is_no_terminal(monkeypatch):
    assert not progress.is_terminal(None)
    monkeypatch.setattr("sys.stderr", None)  # as after `2>&-`
    assert list(progress.track_steps([1, 2], label="rows")) == [1, 2]
    progress.print_status("done")
