"""A search is kept on disk, taken up where it ended, and finds the same whether or not it was
disturbed.
"""

from __future__ import annotations

import fcntl
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import redirect_stderr
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from features.core.config_schema import Training
from training.models import booster_space, boosters, search, studies
from training.models.boosters import LabelledRows

NAMES = tuple(f"planted_{at}" for at in range(5))
TRIALS = 10


def folds(seed=0, names=NAMES, outputs=1, flipped=None):
    """Two folds; `flipped` is a row of the first fold whose label is another one."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(300, 5))
    labels = (
        rng.random(300) < 1 / (1 + np.exp(-matrix[:, 0] + matrix[:, 1] * matrix[:, 2]))
    ).astype(int)
    half = np.arange(300) % 2 == 0
    parts = [(half, ~half), (~half, half)]

    def rows(part, number):
        mine = labels[part]
        if number == 0 and flipped is not None:
            mine[flipped] ^= 1
        return LabelledRows(matrix[part], mine, names=names, outputs=outputs)

    return [(rows(fit, at), rows(check, -1)) for at, (fit, check) in enumerate(parts)]


def question(**changed):
    stated = {
        "folds": folds(),
        "seed": 3,
        "label": "next stage",
    } | changed
    return search.SearchTask(**stated)


def tune(trials=TRIALS, seconds=600.0, **changed):
    asked = question(**changed)
    return search.tune_boosters(
        asked.folds,
        trials=trials,
        seconds=seconds,
        seed=asked.seed,
        label=asked.label,
    )


def journal(**changed):
    return studies.studies_folder() / f"{question(**changed).study_name}.log"


def trials_kept(**changed):
    backend = optuna.storages.journal.JournalFileBackend(str(journal(**changed)))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(
        study_name=question(**changed).study_name, storage=storage
    ).get_trials()


def states(**changed):
    return Counter(trial.state.name for trial in trials_kept(**changed))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """(what a search finds, its journal) where nothing disturbed it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFECYCLE_HOME", str(tmp_path_factory.mktemp("undisturbed")))
        return tune(), journal().read_bytes()


class Terminal(io.StringIO):
    """Standard error as somebody watches it."""

    def isatty(self):
        return True


def test_a_search_killed_in_the_middle_is_taken_up_and_finds_the_same(undisturbed):
    whole = tune(trials=20, seed=5)
    shutil.rmtree(studies.studies_folder())
    # The path comes from the environment that every test has to itself; the child knows this file
    # and nothing else.
    script = "import runpy, sys; runpy.run_path(sys.argv[1])['tune'](trials=20, seed=5)"
    child = subprocess.Popen(
        [sys.executable, "-c", script, __file__], cwd=Path(__file__).parents[1]
    )
    path = journal(seed=5)
    while child.poll() is None and not (
        path.is_file() and path.read_bytes().count(b'"seconds"') > 2
    ):
        time.sleep(0.002)
    child.send_signal(signal.SIGSTOP)
    at_the_same_time = tune(trials=20, seed=5)  # the other one stands still, and holds the study
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    taken_up = tune(trials=20, seed=5)
    assert taken_up == whole == at_the_same_time
    fit, _ = folds()[0]
    one, other = (
        boosters.fit_booster(fit, settings=f.settings, rounds=f.rounds, seed=5).raw
        for f in (whole, taken_up)
    )
    assert one == other
    counted = states(seed=5)
    assert counted["COMPLETE"] + counted["PRUNED"] == 20  # what was finished was not searched again
    assert counted["FAIL"] <= 1


@pytest.mark.slow
@pytest.mark.long
def test_wherever_the_journal_ends_the_search_goes_on_to_the_same_result(undisturbed):
    found, kept = undisturbed
    studies.studies_folder().mkdir(parents=True)
    for cut in random.Random(1).sample(range(len(kept)), 6):
        journal().write_bytes(kept[:cut])
        assert tune() == found, cut
        assert not {"RUNNING", "WAITING"} & set(states()), cut
        finished = [trial for trial in trials_kept() if trial.state != TrialState.FAIL]
        assert len(finished) == TRIALS


def test_the_result_is_the_same_in_memory_and_the_first_trial_is_the_good_guess(undisturbed, home):
    found, _ = undisturbed
    (home / "mlruns").mkdir()
    (home / "mlruns" / "studies").write_text("a file where the folder should be")
    with redirect_stderr(Terminal()) as terminal:
        assert tune() == found
    assert "continues in memory" in terminal.getvalue()
    assert found.trials[0]["settings"] == booster_space.INITIAL_SETTINGS
    assert found.trials[0]["state"] == "COMPLETE"
    assert found.loss == min(
        trial["loss"] for trial in found.trials if trial["state"] == "COMPLETE"
    )


def test_a_finished_search_is_answered_from_disk_and_a_larger_bound_goes_on():
    few = tune(trials=4)
    assert (
        tune(trials=TRIALS, seconds=1e-9) == few
    )  # its budget was spent before: nothing more is searched
    many = tune()
    assert many.trials[:4] == few.trials
    assert tune(seconds=1e-9) == many
    assert tune(trials=4) == few  # a smaller bound looks at its own trials only


def test_what_the_clock_stopped_is_no_verdict_and_comes_first_next_time(undisturbed, monkeypatch):
    found, _ = undisturbed
    ticks = iter(range(10**9))
    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))
    short = tune(seconds=53)
    assert 1 < len(short.trials) < TRIALS
    assert short.trials == found.trials[: len(short.trials)]
    counted = states()
    assert (counted["FAIL"], counted["WAITING"]) == (1, 1)
    stopped, waiting = trials_kept()[-2:]
    assert stopped.params == waiting.system_attrs["fixed_params"]
    assert tune(seconds=53) == short  # this budget is spent, by this question
    assert states() == counted
    assert tune(seconds=10**6) == found


def test_a_study_that_vanishes_on_the_way_stops_nobody(undisturbed, monkeypatch):
    ticks = iter(range(10**9))

    def tick():
        if (at := next(ticks)) == 30:
            shutil.rmtree(studies.studies_folder())
        return float(at)

    monkeypatch.setattr(search, "time", SimpleNamespace(monotonic=tick))
    with redirect_stderr(Terminal()) as terminal:
        assert tune(seconds=10**6) == undisturbed[0]
    assert "continues in memory" in terminal.getvalue()
    assert tune(seconds=10**6) == undisturbed[0]


def test_without_any_time_the_good_guess_still_completes():
    assert [trial["settings"] for trial in tune(seconds=0).trials] == [
        booster_space.INITIAL_SETTINGS
    ]


def test_hopeless_trials_are_pruned():
    assert Counter(trial["state"] for trial in tune(trials=30).trials)["PRUNED"] > 0


def test_a_second_search_for_the_same_leaves_the_first_alone(undisturbed):
    with studies.open_study(question().study_name) as path:
        before = path.read_bytes()
        with redirect_stderr(Terminal()) as terminal:
            assert tune() == undisturbed[0]
        assert path.read_bytes() == before
    assert "another run" in terminal.getvalue()


def _of_other_settings(kept):
    return kept.replace(b'"param_value_internal":8.0', b'"param_value_internal":800.0')


@pytest.mark.parametrize(
    "spoil",
    [
        lambda kept: kept[:-7],
        lambda kept: kept + b"\x00\xff garbage\n",
        lambda kept: kept[:900] + b"{}\n" + kept[900:],
        lambda kept: b"not a journal at all",
        lambda kept: b'{"op_code": 99, "worker_id": "x"}\n',
        lambda kept: b'{"op_code": 4, "worker_id": "x"}\n' + kept,
        lambda kept: b"",
        _of_other_settings,
        lambda kept: kept.replace(b'"rounds":', b'"wounds":'),
    ],
)
def test_a_damaged_journal_costs_work_and_nothing_else(undisturbed, spoil):
    found, kept = undisturbed
    studies.studies_folder().mkdir(parents=True)
    journal().write_bytes(spoil(kept))
    assert tune() == found
    assert tune(seconds=1e-9) == found  # and it can be read again
    assert Counter(state for state in states().elements() if state != "FAIL").total() == TRIALS


def test_a_damaged_journal_is_spoken_of_and_a_dead_writer_s_lock_is_removed(undisturbed):
    studies.studies_folder().mkdir(parents=True)
    journal().write_bytes(undisturbed[1][:-7])
    link = Path(f"{journal()}.lock")
    link.symlink_to(journal())
    with studies.open_study(question().study_name):
        assert not link.is_symlink()  # optuna alone would wait half a minute for the dead one
    journal().write_bytes(undisturbed[1][:-7])
    with redirect_stderr(Terminal()) as terminal:
        assert tune() == undisturbed[0]
    assert "a damaged line" in terminal.getvalue()
    assert os.listdir(studies.studies_folder()) == [journal().name]


@pytest.mark.parametrize(
    "changed",
    [
        {"folds": folds(seed=1)},
        {"folds": folds()[:1]},
        {"folds": folds(names=NAMES[::-1])},
        {"folds": folds(outputs=2)},
        {"seed": 4},
        {"label": "churn"},
    ],
)
def test_another_question_has_another_study(changed):
    assert question(**changed).study_name != question().study_name


def test_one_label_turned_or_another_version_is_another_question(monkeypatch):
    assert (
        question(folds=folds(flipped=7)).study_name
        != question().study_name
        == question(folds=folds()).study_name
    )
    before = question().study_name
    monkeypatch.setattr("xgboost.__version__", "0")
    assert question().study_name != before


def test_old_studies_are_forgotten_unless_somebody_holds_them():
    studies.studies_folder().mkdir(parents=True)
    old = [
        studies.studies_folder() / f"churn-{at:02d}.log" for at in range(studies.MAX_STUDIES + 5)
    ]
    for at, path in enumerate(old):
        path.touch()
        os.utime(path, (1_000 + at, 1_000 + at))
    (studies.studies_folder() / "notes.txt").touch()
    with open(old[2], "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with studies.open_study("churn-00"), studies.open_study("new"):
            left = {path.name for path in studies.studies_folder().iterdir()}
    assert left == {path.name for path in [old[0], old[2], *old[7:]]} | {"new.log", "notes.txt"}


def test_optuna_dashboard_reads_the_study_and_finds_nobody_in_it(undisturbed):
    loader = pytest.importorskip("optuna_dashboard._storage_url")
    studies.studies_folder().mkdir(parents=True)
    journal().write_bytes(undisturbed[1])
    storage = loader.get_storage(str(journal()))
    (summary,) = optuna.get_all_study_summaries(storage)
    assert (summary.study_name, summary.n_trials) == (question().study_name, TRIALS)
    trials = optuna.load_study(study_name=summary.study_name, storage=storage).trials
    assert [trial.state.name for trial in trials] == [
        trial["state"] for trial in undisturbed[0].trials
    ]
    assert {key for trial in trials for key in trial.user_attrs} <= {"rounds", "seconds"}
    assert b"planted" not in undisturbed[1]


def test_own_settings_are_fixed_or_searched_in_their_range():
    space = booster_space.booster_space({"max_leaves": 31, "learning_rate": [0.2, 0.8]})
    found = search.tune_boosters(folds(), trials=6, seconds=600, seed=1, label="churn", space=space)
    for trial in found.trials:
        assert trial["settings"].keys() == booster_space.SPACE.keys()
        assert trial["settings"]["max_leaves"] == 31
        assert 0.2 <= trial["settings"]["learning_rate"] <= 0.8
    assert found.trials[0]["settings"]["learning_rate"] == pytest.approx(0.4)
    assert len({trial["settings"]["learning_rate"] for trial in found.trials}) > 1
    # Another space is another question: its study is not continued.
    assert tune(trials=1, seed=1).trials[0]["settings"] == booster_space.INITIAL_SETTINGS


@pytest.mark.parametrize(
    "boosters",
    [
        {"max_leaves": 1},
        {"max_leaves": 4.5},
        {"learning_rate": [0.3, 0.1]},
        {"learning_rate": [0.1]},
        {"subsample": 1.5},
        {"depth": 3},
    ],
)
def test_impossible_settings_are_refused(boosters):
    with pytest.raises(ValueError, match=r"boosters|depth"):
        Training(boosters=boosters)
    with pytest.raises(ValueError, match="at least one"):
        Training(ridge={"strengths": []})
