"""The notebooks begin with a question, use the Python API alone, carry their outputs and nothing of
a machine, and run.
"""

from __future__ import annotations

import ast
import re
import tempfile
from pathlib import Path

import pytest

from tests.support.checks import nonempty

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 500_000
MACHINE = re.compile(r"/home/|/root|/work/|/tmp\b|/var/folders|/Users/|[A-Z]:\\\\")
every_book = pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
# Those that train or start a service, as other tests do, run only with all long tests.
LONG_BOOKS = ("01", "02-", "03-", "04-", "05", "06", "07", "08", "09")
run_books = pytest.mark.parametrize(
    "path",
    [
        pytest.param(book, marks=pytest.mark.long) if book.name.startswith(LONG_BOOKS) else book
        for book in BOOKS
    ],
    ids=lambda path: path.stem,
)


def notebook_format():
    """nbformat, whose import takes seconds: not while tests are collected."""
    return pytest.importorskip("nbformat")


def read(path):
    return notebook_format().read(path, as_version=4)


def sources(path, kind):
    return [cell.source for cell in read(path).cells if cell.cell_type == kind]


def code_cells(book):
    return nonempty(cell for cell in book.cells if cell.cell_type == "code")


def printed(cell, stream="stdout"):
    return "".join(
        output.text
        for output in cell.outputs
        if output.output_type == "stream" and output.name == stream
    )


def shown(cell, kind):
    return [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]


def all_printed(cells):
    return "".join(map(printed, cells))


def all_tables(cells):
    return "".join(table for cell in cells for table in shown(cell, "text/html"))


def check_outputs(cells):
    """No error, nothing on stderr, and an output wherever something is printed or drawn."""
    for cell in cells:
        assert all(output.output_type != "error" for output in cell.outputs), cell.source
        assert printed(cell, "stderr") == "", cell.source
        assert bool(printed(cell)) == ("print(" in cell.source), cell.source
        assert len(shown(cell, "image/png")) == cell.source.count("plt.show()"), cell.source


def check_first(cells):
    assert "the features of that day are the same: True" in printed(cells[-1])
    assert re.match(r"[1-9][\d,]+ events from 2\d{3}-", printed(cells[-1]))
    assert all(stage in all_tables(cells) for stage in ("at_risk", "dormant", "churned"))


def check_second(cells):
    text, tables = all_printed(cells), all_tables(cells)
    assert re.search(r"release [0-9a-f]{16}, status ok", text)
    [(own, reported)] = re.findall(r"^AUROC ([.\d]+), in the evaluation ([.\d]+)$", text, re.M)
    assert own == reported
    assert all(
        word in tables for word in ("our model", "BG/NBD", "the risk: ", "churned", "next-stage")
    )
    cards = [card for cell in cells for card in shown(cell, "text/markdown")]
    assert "Not for decisions with legal effect" in nonempty(cards)[0]


def check_third(cells):
    text = all_printed(cells)
    assert "ready\n" in text
    assert text.endswith("stopped\n")
    assert text.count("equal to the bit: True") == 2
    refusals, each, reasons = (shown(cell, "text/html")[0] for cell in cells[-4:-1])
    assert refusals.count("Malformed") == 4
    assert refusals.count("KeyUnknown") == 1
    assert each.count("<td>refused</td>") == 1
    assert reasons.count("raises the risk") >= 1
    assert "after a purchase" in text


def check_fourth(cells):
    text, tables = all_printed(cells), all_tables(cells)
    assert re.match(r"release [0-9a-f]{16}, status ok; evaluated on 2023-11-01\n", text)
    assert all(
        word in tables
        for word in ("BG/NBD", "by chance", "never trained on", "stages in a set", "relative")
    )
    [(true, ours)] = re.findall(r"true probabilities ([.\d]+), our model ([.\d]+)", text)
    assert 0.5 < float(ours) <= float(true) + 0.01
    verdict, answer = printed(cells[-1]).splitlines()[0], printed(cells[-1]).splitlines()[-1]
    assert re.match(r"(eligible|everyone): ", verdict)
    assert answer.startswith("Yes: " if "our model is better" in verdict else "No: ")


def check_fifth(cells):
    assert re.match(
        r"\[churn\] horizon_days = (30|60|90|120|180): \d+% of eligible", printed(cells[-1])
    )
    assert "The stages say churned: " in printed(cells[-1])
    assert all(
        word in all_tables(cells)
        for word in ("usual gaps", "180 days", "too_young", "AUROC of recency", "dates to train on")
    )


def check_own_model(cells):
    text, tables = all_printed(cells), all_tables(cells)
    [(judged, read)] = re.findall(r"^(\d+) of (\d+) predictions judged$", text, re.M)
    assert judged == read
    assert "eligible: this model is " in text
    assert all(name in tables for name in ("boosting", "forest", "network", "less our model"))
    assert "MLPClassifier has no export" in tables
    assert re.search(r"^    outside is (better|worse|no)", text, re.M)


def check_own_question(cells):
    text, tables = all_printed(cells), all_tables(cells)
    assert re.search(r"release [0-9a-f]{16}, status ok", text)
    assert re.search(r"p_gone equals p_churn for 100% of [\d,]+ customers", text)
    assert all(name in tables for name in ("twice", "complaint", "gone", "p_twice"))


def check_when(cells):
    text, tables = all_printed(cells), all_tables(cells)
    assert re.search(r"release [0-9a-f]{16}, status ok", text)
    assert re.search(r"to the last bit: 100% of [\d,]+ customers", text)
    assert all(word in tables for word in ("p_return_60d", "Kaplan-Meier", "BG/NBD", "mean p"))
    assert re.search(r"beyond chance, within: (\d+d|no horizon)", text)


def check_worth(cells):
    text, tables = all_printed(cells), all_tables(cells)
    assert re.search(r"more if no eligible customer left", text)
    assert re.search(r"\d+ of \d+ customers", text)
    for word in ("last year", "at_stake", "stance", "second_life_value", "maturity"):
        assert word in text or word in tables, word


def check_page(cells):
    text, tables = all_printed(cells), all_tables(cells)
    assert re.search(r"MB in one file, \d+ lists of customers beside it", text)
    assert all(
        word in tables for word in ("stages_now", "length of one", "at_stake", "on the page")
    )
    assert "the first in Chinese: 各阶段的客户数" in text


def check_campaign(cells):
    text = all_printed(cells)
    assert re.search(r"campaign trial: (not enough data|the campaign|no effect)", text)
    assert all(f"  {name}: " in text for name in ("call", "reminder", "voucher"))
    assert text.count("order by effect: Qini area") == 3
    [(contacted, held_out)] = re.findall(r"(\d+) customers to contact, (\d+) held out", text)
    assert int(contacted) > int(held_out) > 0
    assert "An outcome is complete 60 days after the decision" in text


STORIES = {
    "01-look-at-your-customers": check_first,
    "02-train-and-read-a-model": check_second,
    "03-call-the-service": check_third,
    "04-is-this-model-any-good": check_fourth,
    "05-choose-a-horizon-and-a-churn-rule": check_fifth,
    "05b-bring-your-own-model": check_own_model,
    "05c-ask-your-own-question": check_own_question,
    "06-when-will-they-come-back": check_when,
    "07-who-is-worth-keeping": check_worth,
    "08-read-the-page": check_page,
    "09-plan-and-measure-a-campaign": check_campaign,
}


def test_the_page_names_each_in_order():
    assert [path.stem for path in BOOKS] == list(STORIES)
    page = (FOLDER / "README.md").read_text()
    assert re.findall(r"\]\(([^)]+\.ipynb)\)", page) == [path.name for path in BOOKS]


@every_book
def test_it_begins_with_a_question_and_asks_one_again_in_every_chapter(path):
    assert read(path).cells[0].cell_type == "markdown"
    texts = sources(path, "markdown")
    titles = [text.splitlines()[0] for text in texts if text.startswith("#")]
    assert titles[0].startswith("# ")
    assert all(title.endswith("?") for title in nonempty(titles))
    assert len(titles) >= 4


@every_book
def test_it_imports_the_api_alone_and_defines_nothing(path):
    modules = []
    for source in nonempty(sources(path, "code")):
        for node in nonempty(ast.walk(ast.parse(source))):
            assert not isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
            ), source
            if isinstance(node, ast.Import):
                modules += [(name.name, name.asname) for name in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules.append((node.module, None))
    packages = ("features", "serving", "training", "lifecycle")
    ours = [names for names in modules if names[0].split(".")[0] in packages]
    assert ours == [("lifecycle", "lc")]


@every_book
def test_every_page_it_links_is_there(path):
    pages = re.findall(r"\]\(([^)#]+)\)", "\n".join(sources(path, "markdown")))
    assert [page for page in pages if not (FOLDER / page).exists()] == []


@every_book
def test_it_is_stored_as_executed_from_top_to_bottom(path):
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    check_outputs(cells)
    STORIES[path.stem](cells)


@every_book
def test_it_carries_nothing_of_a_machine(path):
    book = read(path)
    assert path.stat().st_size <= MAX_BYTES
    assert set(book.metadata) == {"kernelspec", "language_info"}
    assert book.metadata["language_info"] == {"name": "python"}
    assert all(cell.metadata == {} for cell in book.cells)
    for cell in book.cells:
        outputs = cell.get("outputs", [])
        data = [text for output in outputs for text in output.get("data", {}).items()]
        texts = [cell.source, *(output.get("text", "") for output in outputs)]
        texts += [text for kind, text in data if kind.startswith("text/")]
        for text in texts:
            assert not MACHINE.search(text), text
            for folder in (ROOT, Path.home(), tempfile.gettempdir()):
                assert str(folder) not in text
    assert not re.search(
        r"https?://(?!127\.0\.0\.1|localhost|\{)", "\n".join(cell.source for cell in book.cells)
    )


def test_the_script_joins_streams_and_removes_paths_and_metadata():
    execute_notebooks = pytest.importorskip("scripts.execute_notebooks")
    lines = notebook_format().v4.new_output("stream", text="in /tmp/x1, ")
    rest = notebook_format().v4.new_output("stream", text="not in /tmp/x12\n")
    page = notebook_format().v4.new_output(
        "execute_result", {"text/html": "<b>/tmp/x1/a</b>"}, metadata={"isolated": True}
    )
    cell = notebook_format().v4.new_code_cell(
        "1", outputs=[lines, rest, page], metadata={"collapsed": True}
    )
    book = notebook_format().v4.new_notebook(
        cells=[cell], metadata={"language_info": {"name": "python", "version": "3"}}
    )
    execute_notebooks.clean(book, {"/tmp/x1": "."})
    assert cell.outputs == [lines, page]
    assert lines.text == "in ., not in /tmp/x12\n"
    assert page.data["text/html"] == "<b>./a</b>"
    assert page.metadata == cell.metadata == {}
    assert book.metadata == execute_notebooks.METADATA


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(path): the code cells of a notebook, executed in a folder that must stay empty."""
    place, temporary = tmp_path / "place", tmp_path / "temporary"
    place.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(path):
        book = read(path)
        pytest.importorskip("nbclient").NotebookClient(
            book,
            timeout=600,
            kernel_name="python3",
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(place)}},
        ).execute()
        assert list(place.iterdir()) == []
        assert list(temporary.glob("lifecycle-*")) == []
        return code_cells(book)

    return run


@pytest.mark.slow
@run_books
def test_it_runs_and_writes_nothing_outside_its_temporary_folder(
    run, home, default_interrupts, path
):
    cells = run(path)
    check_outputs(cells)
    STORIES[path.stem](cells)
    assert list(home.iterdir()) == []
