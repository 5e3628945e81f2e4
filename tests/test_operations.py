"""docs/operations.md: its commands run, its names exist; a Bento that BentoML's own commands build
and serve; what the image would hold.
"""

from __future__ import annotations

import ast
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml
from pathspec import PathSpec

from features.core.instants import DAY_US
from serving.api.middleware import PROBES
from serving.api.schemas import rfc3339
from serving.batch.destinations.send import TABLE
from tests.support.checks import nonempty
from tests.support.command_line import write_shop
from tests.support.services import KEY

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text()
BIN = Path(sys.executable).parent


def blocks(language):
    return nonempty(re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def purchases():
    """(customer, day, amount) of 150 customers with rhythms of their own, half of whom leave."""
    draw, rows = random.Random(5), []
    for number in range(150):
        gap, day = draw.choice((10, 25, 60)), date(2023, 1, 1) + timedelta(draw.randrange(60))
        stays = draw.random() < 0.5
        end = date(2024, 12, 31) if stays else date(2023, 6, 1) + timedelta(draw.randrange(500))
        while day < end:
            rows.append((f"c{number}", day.isoformat(), draw.randrange(5, 90)))
            day += timedelta(1 + int(draw.expovariate(1 / gap)))
    return rows


@pytest.mark.slow
def test_its_commands_run_in_their_order(store_home, tmp_path, port):
    config, work = write_shop(tmp_path, rows := purchases(), max_dates=3), tmp_path / "work"
    work.mkdir()
    end = date.fromisoformat(max(day for _, day, _ in rows)) + timedelta(1)
    script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "\n".join(blocks("sh"))
    for written, here in (
        ("/etc/lifecycle/shop.toml", str(config)),
        ("2025-01-01", end.isoformat()),
        ("3000", str(port)),
        # So few customers are too few for skill, which the gate refuses.
        ('["release"])\')"', '["release"])\')" --force "a small business"'),
    ):
        assert written in script
        script = script.replace(written, here)
    environment = dict(os.environ) | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    environment.pop("LIFECYCLE_API_KEYS", None)
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    log = (store_home / "mlruns" / "releases" / "promotions.jsonl").read_text().splitlines()
    first, second, third, fourth = map(json.loads, log)
    assert third["rolled_back"] == second["release"] == fourth["release"]
    assert third["release"] == first["release"]
    assert "lifecycle_run_age_seconds" in done.stdout
    assert (work / "restored" / "keys.json").stat().st_mode & 0o777 == 0o600


def test_every_figure_that_it_names_is_in_the_metrics(shop_service):
    shop_service.ask({"customer_ids": [shop_service.ids[0]]})
    shop_service.spoken("GET", "/v1/model")
    names = set(re.findall(r"^(lifecycle_\w+)", shop_service.get("/metrics").text, re.M))
    named = set(re.findall(r"\b(lifecycle_\w+)", PAGE)) - {TABLE}
    assert set(nonempty(named)) <= names
    for route in nonempty(re.findall(r'route="([^"]+)"', PAGE)):
        assert f'route="{route}"' in shop_service.get("/metrics").text


def test_its_python_compiles_and_its_yaml_is_read():
    for text in blocks("python"):
        ast.parse(text)
    for text in blocks("yaml"):
        assert yaml.safe_load(text)["scrape_configs"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_its_units_are_accepted_by_systemd(tmp_path):
    names = re.findall(r"/etc/systemd/system/([\w.-]+)", PAGE)
    for name, text in zip(names, blocks("ini"), strict=True):
        (tmp_path / name).write_text(text.replace("/opt/lifecycle/bin/lifecycle", sys.executable))
    units = [str(tmp_path / name) for name in nonempty(names)]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_image_holds_the_code_runs_as_a_number_and_asks_a_probe():
    text = (ROOT / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.M)
    sources = sorted(name for line in nonempty(copied) for name in line.split())
    ignored = PathSpec.from_lines("gitwildmatch", (ROOT / ".dockerignore").read_text().splitlines())
    assert sorted(path.name for path in ROOT.iterdir() if not ignored.match_file(path.name)) == (
        sources
    )
    for secret in ("keys.json", "scores", "mlruns", ".git", ".venv", "data", "lifecycle.toml"):
        assert ignored.match_file(secret)
    assert re.findall(r"^USER (\S+)$", text, re.M) == ["10001:10001"]
    for place in ("Dockerfile", "bento.dockerfile.j2"):
        [probe] = re.findall(
            r"HEALTHCHECK.*?127\.0\.0\.1:3000(/\w+)", (ROOT / place).read_text(), re.DOTALL
        )
        assert probe in PROBES


@pytest.fixture
def bento(trained_shop, tmp_path):
    """A Bento that `bentoml build` made offline: (its store, the folder of its tag)."""
    place, store = tmp_path / "checkout", tmp_path / "bentoml"
    place.mkdir()
    for name in ("features", "lifecycle", "serving"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("bentofile.yaml", "bento.dockerfile.j2", "requirements-serve.txt"):
        shutil.copy(ROOT / name, place)
    shutil.copytree(trained_shop.home / "mlruns" / "releases", place / "mlruns" / "releases")
    shutil.copytree(trained_shop.home / "scores", place / "scores")
    (place / "keys.json").write_text("{}")
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--version", "tried"],
        cwd=place,
        env=os.environ | {"BENTOML_HOME": str(store), "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(place)
    return store, store / "bentos" / "lifecycle" / "tried"


@pytest.mark.slow
def test_a_bento_carries_a_release_and_no_key_and_answers(bento, trained_shop, tmp_path, port):
    store, folder = bento
    files = {path.relative_to(folder / "src").as_posix() for path in folder.rglob("src/**/*")}
    assert {"mlruns/releases/CURRENT", "serving/api/service.py"} <= files
    assert not [name for name in files if "keys.json" in name or "scores" in name.split("/")]
    assert not [name for name in files if name.startswith(("training", "tests"))]
    pins = (folder / "env" / "python" / "requirements.txt").read_text()
    assert set((ROOT / "requirements-serve.txt").read_text().split()) <= set(pins.split())
    environment = os.environ | {"BENTOML_HOME": str(store), "LIFECYCLE_API_KEYS": KEY}
    del environment["LIFECYCLE_HOME"]
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-P", "-m", "bentoml", "serve", "lifecycle:tried"]
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path / "empty",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as service:
        try:
            assert _ready(port, service)
            model = json.loads(_ask(port, "/v1/model"))
            assert (model["release_id"], model["run"]) == (trained_shop.release.id, None)
            as_of = trained_shop.run.as_of
            event = {"occurred_at": rfc3339(as_of - DAY_US), "amount": 5}
            one = {"customer_id": "1", "transactions": [event]}
            request = {"as_of": rfc3339(as_of), "customers": [one]}
            [score] = json.loads(_ask(port, "/v1/score", request))["scores"]
            assert 0 < score["p_churn"] < 1
        finally:
            service.terminate()


def _ready(port, service):
    until = time.monotonic() + 120
    while service.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.2)
    return False


def _ask(port, path, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()
