"""The rules of this suite: what a test may import, replace and leave unchecked."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
TESTS = sorted(FOLDER.glob("test_*.py"))
PACKAGES = {"features", "serving", "training", "lifecycle"}
every_test = pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)


def imported(tree: ast.AST) -> dict[str, str]:
    """Names bound by imports: name -> full dotted path of the module or of what is in it."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(one.asname or one.name.split(".")[0]): one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {(one.asname or one.name): f"{node.module}.{one.name}" for one in node.names}
    return names


def replaced_functions(tree: ast.AST) -> list[str]:
    """The functions of our packages that a `setattr` of a monkeypatch puts something else in place
    of.

    A constant (in capitals) may be changed, and so may a library's module that ours holds, such as
    its clock, or an attribute of an object.
    """
    names, found = imported(tree), []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr != "setattr" or not node.args:
            continue
        target, *rest = node.args
        if isinstance(target, ast.Constant):
            path = str(target.value)
        elif isinstance(target, ast.Name) and isinstance(rest[0], ast.Constant):
            path = f"{names.get(target.id, '')}.{rest[0].value}"
        else:
            continue
        package, name = path.split(".")[0], path.rsplit(".", 1)[-1]
        if package in PACKAGES and not name.isupper() and name not in sys.stdlib_module_names:
            found.append(path)
    return found


def returns_of(function: ast.FunctionDef) -> list[ast.Return]:
    """The `return` statements of the function itself, not those of functions inside it."""
    found, todo = [], list(function.body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Return):
            found.append(node)
        elif not isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            todo += ast.iter_child_nodes(node)
    return found


def test_there_are_tests_to_look_at():
    assert len(TESTS) > 50
    assert not list(FOLDER.rglob("__init__.py"))


@every_test
def test_no_test_module_imports_another_and_none_needs_the_conftest(path):
    modules = imported(ast.parse(path.read_text())).values()
    assert [name for name in modules if name.startswith(("tests.test_", "tests.conftest"))] == []


@every_test
def test_no_function_of_ours_is_replaced(path):
    assert replaced_functions(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (
            "from serving.batch import writers\nmonkeypatch.setattr(writers, 'write_table', None)",
            ["serving.batch.writers.write_table"],
        ),
        ("patch.setattr('lifecycle.commands.check.text', None)", ["lifecycle.commands.check.text"]),
        ("from serving import trial\nmonkeypatch.setattr(trial, 'SECONDS', 1)", []),
        ("from training.models import search\nmonkeypatch.setattr(search, 'time', None)", []),
        ("import shutil\nmonkeypatch.setattr(shutil, 'disk_usage', None)", []),
        ("monkeypatch.setattr('os.cpu_count', None)", []),
    ],
)
def test_a_replaced_function_is_seen(line, found):
    assert replaced_functions(ast.parse(line)) == found


@every_test
def test_a_property_never_passes_by_returning_early(path):
    """`hypothesis.assume` counts what it leaves out, and fails where it leaves out too much."""
    given = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(one).startswith("given(") for one in node.decorator_list)
    ]
    assert [function.name for function in given if returns_of(function)] == []


def test_shared_fixtures_are_in_the_plugins_that_the_conftest_names():
    tree = ast.parse((FOLDER / "conftest.py").read_text())
    [named] = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytest_plugins"
    ]
    holders = [
        f"tests.support.{path.stem}"
        for path in sorted((FOLDER / "support").glob("*.py"))
        if "@pytest.fixture" in path.read_text()
    ]
    assert holders == sorted(named)
