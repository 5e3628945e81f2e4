"""Two pieces of work side by side: the same answers, one error, and nobody who works on for
nobody.
"""

from __future__ import annotations

import signal
import threading
import time
import warnings

import numpy as np
import pytest
from scipy.linalg import LinAlgWarning
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from features.core.progress import track_steps
from training import parallel
from training.models import ridge


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_both_answer_as_one_after_the_other():
    rng = np.random.default_rng(0)
    matrix, labels = rng.gamma(1, 5, (3000, 30)), rng.integers(0, 2, 3000)

    def fitted(strength):
        return ridge.fit_ridge(matrix, labels, strength=strength, outputs=1).margins(matrix)

    one, other = parallel.run_in_parallel(lambda: fitted(0.01), lambda: fitted(0.1))
    assert np.array_equal(one, fitted(0.01))
    assert np.array_equal(other, fitted(0.1))
    fits = list(ridge.fit_ridges(matrix, labels, strengths=(0.01, 0.1), outputs=1))
    assert len(fits) == 2
    assert all(
        np.array_equal(a.weights, ridge.fit_ridge(matrix, labels, strength=c, outputs=1).weights)
        for a, c in zip(fits, (0.01, 0.1), strict=True)
    )


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)


@pytest.mark.parametrize("cores", [1, 2])
def test_limits_and_warnings_hold_inside_and_are_as_before_after_whatever_happened(
    cores, monkeypatch
):
    monkeypatch.setattr("os.cpu_count", lambda: cores)

    def quiet():
        with parallel.reproducible_fits():  # as every fit asks again
            warnings.warn("no end", ConvergenceWarning, stacklevel=1)
            with pytest.raises(LinAlgWarning):  # the solver hears of a bad Hessian by an error
                warnings.warn("Ill-conditioned matrix", LinAlgWarning, stacklevel=1)
            warnings.warn("stumbled upon an ill-conditioned Hessian", LinAlgWarning, stacklevel=1)
            return blas_threads()

    with threadpool_limits(2, user_api="blas"):
        assert blas_threads() == {2}
        filters = list(warnings.filters)
        with warnings.catch_warnings(record=True) as said:
            assert parallel.run_in_parallel(quiet, blas_threads) == ({1}, {1})
        assert said == []
        with pytest.raises(ZeroDivisionError):
            parallel.run_in_parallel(lambda: 1 / 0, quiet)
        assert blas_threads() == {2}
        assert list(warnings.filters) == filters


def long(began, ended):
    """A minute of work that looks whether anybody waits for it."""
    began.set()
    try:
        for _ in range(6000):
            parallel.check_cancelled()
            time.sleep(0.01)
    except parallel.Cancelled:
        ended.append(True)
        raise


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("first", [True, False])
def test_an_error_of_one_ends_the_other_and_is_the_one_that_is_raised(error, first):
    began, ended = threading.Event(), []

    def fails():
        began.wait(10)
        raise error

    works = (fails, lambda: long(began, ended))
    with pytest.raises(error):
        parallel.run_in_parallel(*(works if first else works[::-1]))
    assert ended == [True]
    parallel.check_cancelled()  # here nothing was given up


def test_an_interrupt_while_only_the_other_is_at_work_ends_it(default_interrupts):
    began, ended = threading.Event(), []
    main = threading.main_thread().ident

    def finished():
        began.wait(10)
        threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        parallel.run_in_parallel(finished, lambda: long(began, ended))
    assert ended == [True]


def test_one_that_never_looks_holds_an_interrupt_back_for_a_while_only(monkeypatch):
    monkeypatch.setattr(parallel, "CANCEL_WAIT_SECONDS", 0.2)
    let_go, ended = threading.Event(), []

    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.run_in_parallel(fails, lambda: ended.append(let_go.wait(300)))
    assert ended == []
    let_go.set()


def test_only_the_main_thread_draws_a_bar(monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    drawn = []
    monkeypatch.setattr(
        "rich.progress.track", lambda items, **_: drawn.append(threading.current_thread()) or items
    )
    parallel.run_in_parallel(
        lambda: list(track_steps([1], label="one")), lambda: list(track_steps([1], label="other"))
    )
    assert drawn == [threading.main_thread()]
