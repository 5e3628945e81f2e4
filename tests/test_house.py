"""The house rules that scripts check: names, and imports at the top of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check_imports, check_names

RULES = """
[tool.lifecycle.names]
allowed = ["held_out", "NotFound"]
[tool.lifecycle.names.banned]
found = "the noun"
held = "holdout"
df = "what the rows are"
manager = "what it manages"
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pyproject.toml").write_text(RULES)
    for package in check_names.PLACES:
        (tmp_path / package).mkdir()
    return tmp_path


def write(root: Path, place: str, text: str) -> None:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("found = 1", "found"),
        ("for found_rows in (): pass", "found_rows"),
        ("def f(df): pass", "df"),
        ("def f(*, held=None): pass", "held"),
        ("class RunManager: pass", "RunManager"),
        ("class A:\n    found: int", "found"),
        ("def all_found(): pass", "all_found"),
        ("import json as found", "found"),
        ("x = [found for found in ()]", "found"),
        ("self.found = 2", "found"),
        ("try: pass\nexcept ValueError as found: pass", "found"),
        ("match 1:\n    case found: pass", "found"),
        ("FOUND_ROWS = 1", "FOUND_ROWS"),
    ],
)
def test_a_banned_name_is_refused_wherever_it_is_defined(root, text, name):
    write(root, "serving/bad.py", text)
    [line] = check_names.check(root)
    assert line.startswith("serving/bad.py:")
    assert f" {name}: use " in line


@pytest.mark.parametrize(
    "text",
    [
        "held_out = 1",
        "class NotFound: pass",
        "profound = 1",
        "x = frame.found",
        "library.found(df=1)",
        "'found'",
    ],
)
def test_names_of_others_and_allowed_names_pass(root, text):
    write(root, "serving/good.py", text)
    assert check_names.check(root) == []


def test_the_names_of_files_and_folders_count(root):
    write(root, "serving/manager/rows.py", "")
    assert check_names.check(root) == ["serving/manager/rows.py:0 manager: use what it manages"]


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("def f():\n    from serving.release import release", "serving.release"),
        ("class A:\n    def f(self):\n        import features.core", "features.core"),
        ("async def f():\n    if True:\n        from . import rows", "features.None"),
    ],
)
def test_an_import_of_ours_inside_a_function_is_refused(root, text, module):
    write(root, "training/bad.py", text)
    [line] = check_imports.check(root)
    assert line.startswith("training/bad.py:")
    assert f"imports {module} in a function" in line


def test_late_imports_pass_where_they_are_allowed_and_of_libraries_everywhere(root):
    late = "def f():\n    import features.core"
    for place in ("lifecycle/cli.py", "lifecycle/cli/train.py", "lifecycle/__init__.py"):
        write(root, place, late)
    write(root, "serving/api/service.py", late)
    write(root, "training/good.py", "import features.core\ndef f():\n    import mlflow")
    assert check_imports.check(root) == []


@pytest.mark.parametrize("script", [check_names, check_imports])
def test_the_exit_code_says_whether_anything_was_refused(root, script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["script", str(root)])
    with pytest.raises(SystemExit, match="0"):
        script.main()
    write(root, "features/bad.py", "def found():\n    import features.core")
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert ended.value.code == 1
    assert "features/bad.py" in capsys.readouterr().out
