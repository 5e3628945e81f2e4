"""The notebooks begin with a question, import and never define, carry nothing of a machine, and run."""

from __future__ import annotations

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

from lifecycle import simulation

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
every_book = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)


def cells(path, kind):
    return [
        "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == kind
    ]


def test_they_are_these_and_the_page_beside_them_names_each():
    assert [path.stem for path in BOOKS] == [
        "01-look-at-your-customers",
        "02-train-and-read-a-model",
        "03-call-the-service",
        "04-is-this-model-any-good",
        "05-choose-a-horizon-and-a-churn-rule",
    ]
    page = (FOLDER / "README.md").read_text()
    assert re.findall(r"\]\(([^)]+\.ipynb)\)", page) == [path.name for path in BOOKS]


@every_book
def test_it_begins_with_a_question_and_asks_one_again_in_every_chapter(path):
    told = cells(path, "markdown")
    assert json.loads(path.read_text())["cells"][0]["cell_type"] == "markdown"
    titles = [text.splitlines()[0] for text in told if text.startswith("#")]
    assert titles[0].startswith("# ")
    assert all(title.endswith("?") for title in titles if title.startswith("# "))
    assert sum(title.endswith("?") for title in titles) >= 4


@every_book
def test_it_imports_and_never_defines(path):
    for source in cells(path, "code"):
        for node in ast.walk(ast.parse(source)):
            assert not isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
            ), source


@every_book
def test_it_carries_no_outputs_and_nothing_of_a_machine(path):
    book = json.loads(path.read_text())
    for cell in book["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}
    assert set(book["metadata"]) <= {"kernelspec", "language_info"}
    assert book["metadata"]["language_info"] == {"name": "python"}
    assert not re.search(
        r"/home/|/root|/work/|/Users/|[A-Z]:\\\\|https?://(?!127\.0\.0\.1|localhost)",
        path.read_text(),
    )


@every_book
def test_every_page_it_links_is_there(path):
    for page in re.findall(r"\]\(([^)#]+)\)", "\n".join(cells(path, "markdown"))):
        assert (FOLDER / page).exists(), page


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(name, place): the code cells of a notebook as they come back, executed in `place`. An error is an error."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    (tmp_path / "own").mkdir()
    for name, value in {
        "IPYTHONDIR": "ipython",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "TMPDIR": "own",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / value))

    def run(name, place):
        book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        place.mkdir(parents=True, exist_ok=True)
        told = {"metadata": {"path": str(place)}}
        nbclient.NotebookClient(book, timeout=600, kernel_name="python3", resources=told).execute()
        return [cell for cell in book.cells if cell.cell_type == "code"]

    return run


def printed(cell, stream="stdout"):
    return "".join(
        output.text
        for output in cell.outputs
        if output.output_type == "stream" and output.name == stream
    )


def shown(cell, kind):
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]


def refuse_noise(done):
    """Nothing on the error stream, and a picture wherever one is drawn."""
    for cell in done:
        assert printed(cell, "stderr") == "", cell.source
        if "plt.show()" in cell.source or "Image(" in cell.source:
            assert len(shown(cell, "image/png")) == 1, cell.source


def small_demo(folder):
    simulation.write(simulation.simulate(customers=300, days=760), folder=folder / "demo")
    config = folder / "demo" / "lifecycle.toml"
    config.write_text(config.read_text().replace("max_dates = 9", "max_dates = 5"))
    return folder


def test_the_first_simulates_a_business_where_there_is_none(run, tmp_path):
    done = run("01-look-at-your-customers", tmp_path / "empty")
    refuse_noise(done)
    assert list((tmp_path / "empty").iterdir()) == []
    assert "are the same: True" in printed(done[-1])
    assert "0 events" not in printed(done[-1])


def test_the_second_trains_on_the_demo_above_it_and_serves_nothing(run, tmp_path, home):
    done = run("02-train-and-read-a-model", small_demo(tmp_path / "checkout") / "notebooks")
    refuse_noise(done)
    assert re.search(r"release [0-9a-f]{16}, status ok", "".join(map(printed, done)))
    assert (home / "mlruns" / "releases").is_dir()
    assert not (home / "mlruns" / "releases" / "CURRENT").exists()
    tables = "".join(table for cell in done for table in shown(cell, "text/html"))
    assert all(
        word in tables for word in ("our model", "BG/NBD", "the risk: ", "churned", "next-stage")
    )
    assert any(
        "Not for decisions with legal effect" in text
        for cell in done
        for text in shown(cell, "text/markdown")
    )


def test_the_third_starts_the_service_asks_it_and_stops_it(run, tmp_path, home, trained_shop):
    pytest.importorskip("bentoml")
    shutil.copytree(trained_shop.folder, tmp_path / "checkout" / "demo")
    for room in ("mlruns/releases", "scores"):
        shutil.copytree(trained_shop.home / room, home / room)
    done = run("03-call-the-service", tmp_path / "checkout" / "notebooks")
    refuse_noise(done)
    told = "".join(map(printed, done))
    assert told.startswith("ready\n")
    assert told.endswith("stopped\n")
    assert told.count("equal to the bit: True") == 2
    refusals = shown(done[-2], "text/html")[0]
    assert refusals.count("Malformed") == 5
    assert refusals.count("KeyMissing") == 1
    assert not (home / "keys.json").exists()


def test_the_fourth_reads_the_newest_release_and_answers_plainly(run, tmp_path, home, trained_shop):
    shutil.copytree(trained_shop.folder, tmp_path / "checkout" / "demo")
    shutil.copytree(trained_shop.home / "mlruns" / "releases", home / "mlruns" / "releases")
    done = run("04-is-this-model-any-good", tmp_path / "checkout" / "notebooks")
    refuse_noise(done)
    account, told = trained_shop.release.evaluation, "".join(map(printed, done))
    assert told.startswith(
        f"release {trained_shop.release.id}, status {account['status']}; evaluated on "
    )
    assert account["recommendation"]["churn"]["verdict"] in told
    ours = (
        account["status"] == "ok"
        and account["recommendation"]["churn"]["recommended"] == "our model"
    )
    assert printed(done[-1]).splitlines()[-1].startswith("Yes: " if ours else "No: ")
    tables = "".join(table for cell in done for table in shown(cell, "text/html"))
    assert all(
        word in tables
        for word in ("BG/NBD", "rarely over", "never trained on", "stages in a set", "relative")
    )
    assert len(list((home / "mlruns" / "releases").glob("*/manifest.json"))) == 1  # it trains none


def test_the_fifth_recommends_a_horizon_and_trains_nothing(run, tmp_path, home):
    done = run(
        "05-choose-a-horizon-and-a-churn-rule", small_demo(tmp_path / "checkout") / "notebooks"
    )
    refuse_noise(done)
    assert re.search(
        r"\[churn\] horizon_days = (30|60|90|120|180): \d+% of eligible", printed(done[-1])
    )
    assert "The stages say churned after" in printed(done[-1])
    tables = "".join(table for cell in done for table in shown(cell, "text/html"))
    assert all(
        word in tables
        for word in ("usual gaps", "180 days", "too_young", "AUROC of recency", "dates to train on")
    )
    assert list(home.iterdir()) == []
