"""Two pieces of work side by side: the same answers, one error, and nobody who works on for nobody."""

from __future__ import annotations

import threading
import time
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info

from features.progress import steps
from training import beside
from training.models import ridge


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_both_answer_as_one_after_the_other():
    rng = np.random.default_rng(0)
    matrix, labels = rng.gamma(1, 5, (3000, 30)), rng.integers(0, 2, 3000)

    def fitted(strength):
        return ridge.fit(matrix, labels, strength=strength, outputs=1).margins(matrix)

    one, other = beside.both(lambda: fitted(0.01), lambda: fitted(0.1))
    assert np.array_equal(one, fitted(0.01))
    assert np.array_equal(other, fitted(0.1))
    assert all(np.array_equal(a.weights, ridge.fit(matrix, labels, strength=c, outputs=1).weights)
               for a, c in zip(ridge.fits(matrix, labels, strengths=(0.01, 0.1), outputs=1), (0.01, 0.1), strict=True))  # fmt: skip


@pytest.mark.parametrize("cores", [1, 2])
def test_limits_and_warnings_hold_inside_and_are_as_before_after_whatever_happened(cores, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    before, filters = blas_threads(), list(warnings.filters)

    def quiet():
        with beside.calm():  # as every fit asks again
            warnings.warn("no end", ConvergenceWarning, stacklevel=1)
            return blas_threads()

    with warnings.catch_warnings(record=True) as said:
        assert beside.both(quiet, quiet) == ({1}, {1})
    assert said == []
    with pytest.raises(ZeroDivisionError):
        beside.both(lambda: 1 / 0, quiet)
    assert blas_threads() == before
    assert list(warnings.filters) == filters


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_error_here_ends_the_work_beside_it_and_is_the_one_that_is_raised(error):
    began = threading.Event()
    ended = []

    def long():
        began.set()
        try:
            for _ in range(6000):
                beside.look()
                time.sleep(0.01)
        except beside.GivenUp:
            ended.append(True)
            raise

    def fails():
        began.wait(10)
        raise error

    with pytest.raises(error):
        beside.both(fails, long)
    assert ended == [True]
    beside.look()  # here nothing was given up


def test_an_error_beside_is_raised_too():
    with pytest.raises(ValueError, match="beside"):
        beside.both(lambda: 1, lambda: int("beside"))


def test_only_the_main_thread_draws_a_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    drawn = []
    monkeypatch.setattr("rich.progress.track", lambda items, **_: drawn.append(threading.current_thread()) or items)
    beside.both(lambda: list(steps([1], label="one")), lambda: list(steps([1], label="other")))
    assert drawn == [threading.main_thread()]
