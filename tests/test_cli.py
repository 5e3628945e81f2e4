"""The door: its commands, its exit codes, what it prints, and that nobody sees a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.checks import nonempty
from tests.support.command_line import ROOT, lifecycle, run_here, write_shop
from tests.support.public_data import public_file

COMMANDS = [
    "audit",
    "backfill",
    "backtest",
    "check",
    "compare",
    "decide",
    "demo",
    "doctor",
    "examples",
    "features",
    "forget",
    "ingest",
    "init",
    "judge",
    "key",
    "loop",
    "measure",
    "monitor",
    "promote",
    "prune",
    "report",
    "rollback",
    "run",
    "runs",
    "score",
    "serve",
    "stages",
    "train",
    "ui",
    "uplift",
    "value",
    "why-value",
]


def test_the_list_of_commands_is_this_one():
    from lifecycle import cli as door

    single = [
        command.callback.__name__.replace("_", "-") for command in door.app.registered_commands
    ]
    assert sorted([*single, *(group.name for group in door.app.registered_groups)]) == COMMANDS
    shown = lifecycle("--help")
    assert shown.returncode == 0
    assert [name for name in COMMANDS if f"  {name}" not in shown.stdout] == []


def test_every_command_can_answer_in_json():
    import inspect

    from lifecycle import cli as door

    grouped = [
        command
        for group in nonempty(door.app.registered_groups)
        for command in nonempty(group.typer_instance.registered_commands)
    ]
    for command in [*nonempty(door.app.registered_commands), *grouped]:
        assert "as_json" in inspect.signature(command.callback).parameters, (
            command.callback.__name__
        )


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['lifecycle', '--help']\nfrom lifecycle import cli\ntry:"
        " cli.main()\nexcept SystemExit: pass\nprint(sorted({m.split('.')[0] for m in"
        " sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.splitlines()[-1]
    assert not [
        name
        for name in (
            "numpy",
            "duckdb",
            "pyarrow",
            "xgboost",
            "sklearn",
            "mlflow",
            "pydantic",
            "rich",
        )
        if f"'{name}'" in loaded
    ]


def test_reading_tables_and_features_needs_no_optimiser():
    """SciPy takes longer to load than all else that `check` needs."""
    code = "import features.plausibility, sys; print('scipy.optimize' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_to_score_loads_xgboost_without_scikit_learn(tmp_path):
    config = write_shop(tmp_path, [("a", "2024-01-05", 5), ("a", "2024-02-05", 5)])
    code = (
        "import atexit, sys; from lifecycle import cli; names = ('xgboost', 'sklearn');"
        " atexit.register(lambda: print([name in sys.modules for name in names]));"
        " sys.argv[0] = 'lifecycle'; cli.main()"
    )
    command = [sys.executable, "-c", code, "score", "-c", config, "--as-of", "2024-02-06"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "no promoted release" in done.stderr
    assert done.stdout == "[True, False]\n"


def test_errors_have_four_lines_an_exit_code_and_no_traceback(tmp_path):
    (tmp_path / "lifecycle.toml").write_text(
        '[business]\nzone = "UTC"\n[files]\nt = "absent.csv"\n[tables]\ntransactions = "SELECT *'
        ' FROM t"\n'
    )
    done = lifecycle("check", "-c", tmp_path / "lifecycle.toml")
    assert done.returncode == 3
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "error in [files] t"
    assert [line.split()[0] for line in lines[1:]] == ["got:", "rule:", "do:"]
    assert "Traceback" not in done.stderr


def test_public_data_that_is_absent_says_where_to_get_it(tmp_path):
    done = run_here("run", "-c", ROOT / "examples" / "cdnow.toml", LIFECYCLE_DATA=str(tmp_path))
    assert done.returncode == 3
    assert "LIFECYCLE_DATA" in done.stderr
    assert "docs/data.md" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "-c", "nowhere.toml"], 3),
        (["nonsense"], 2),
        (["train", "weather"], 2),
        (["promote"], 1),
        (["features", "--out", "x.csv"], 2),
    ],
)
def test_exit_codes(arguments, code, home):
    done = run_here(*arguments)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_an_internal_error_is_one_line_that_tells_no_value(shop, tmp_path):
    """A library that breaks while it is imported: nobody's mistake in the configuration."""
    (tmp_path / "duckdb.py").write_text("raise RuntimeError('a value of a customer')")
    done = lifecycle("check", "-c", shop[0] / "lifecycle.toml", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "RuntimeError" in done.stderr
    assert "customer" not in done.stderr


def test_a_home_that_cannot_be_written_exits_with_four(tmp_path):
    config = write_shop(tmp_path, [("only", f"2024-{month:02d}-05", 5) for month in range(1, 13)])
    (tmp_path / "file").write_text("a file, where a folder should be")
    done = run_here("run", "-c", config, LIFECYCLE_HOME=str(tmp_path / "file"))
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "check:" in done.stderr
    assert "feature rows" not in done.stderr  # refused before the work, not after it
    assert run_here("stages", "-c", config, "--out", tmp_path / "file" / "x.csv").returncode == 4


def test_check_features_examples_and_stages_on_a_business(shop, tmp_path):
    config = shop[0] / "lifecycle.toml"
    found = json.loads(
        run_here("check", "-c", config, "--json", "--rejects", tmp_path / "rejects.csv").stdout
    )
    for table in nonempty(found["tables"].values()):
        assert table["read"] == table["kept"] + sum(table["rejected"].values())
    assert (tmp_path / "rejects.csv").is_file()
    assert set(found["stage_multiples"]["multiples"]) == {"at_risk", "dormant", "churned"}
    out = tmp_path / "rows.parquet"
    run_here(
        "features", "-c", config, "--as-of", "2023-06-01", "--as-of", "2023-07-01", "--out", out
    )
    assert len(set(pq.read_table(out)["as_of"].to_pylist())) == 2
    run_here("stages", "-c", config, "--out", out)
    history = pq.read_table(out)
    assert history.column_names == ["customer_id", "as_of", "stage", "stage_rule"]
    assert (
        len(set(zip(history["customer_id"].to_pylist(), history["as_of"].to_pylist(), strict=True)))
        == history.num_rows
    )
    assert (
        run_here(
            "features", "-c", config, "--as-of", "2023-06-01", "--out", tmp_path / "rows.xlsx"
        ).returncode
        == 2
    )


@pytest.mark.slow
@pytest.mark.long
def test_too_little_data_train_refuses_and_run_ends_with_marked_base_rates(tmp_path, store_home):
    config = write_shop(tmp_path, [("only", f"2024-{month:02d}-05", 5) for month in range(1, 13)])
    refused = run_here("train", "-c", config)
    assert refused.returncode == 3
    assert "needs" in refused.stderr
    done = run_here("run", "-c", config, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "not_enough_data"
    rows = pq.read_table(Path(found["scores"]) / "scores.parquet").to_pylist()
    assert [row["stage"] for row in rows] == ["loyal"]
    assert "not_enough_data" in rows[0]["warnings"]
    assert 0 < rows[0]["p_churn"] < 1


def test_a_horizon_longer_than_the_data_is_refused_and_writes_nothing(tmp_path, home):
    config = write_shop(tmp_path, [("a", "2024-01-01", 5), ("a", "2024-01-09", 5)])
    done = run_here("run", "-c", config)
    assert done.returncode == 3
    assert "longer than the horizon" in done.stderr
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_a_one_off_business_is_refused(tmp_path):
    config = write_shop(tmp_path, [("a", "2024-01-01", 5), ("b", "2024-06-09", 5)])
    config.write_text(config.read_text().replace("[files]", 'archetype = "one-off"\n[files]'))
    done = run_here("run", "-c", config)
    assert done.returncode == 3
    assert "retention has no meaning" in done.stderr


@pytest.mark.long
@pytest.mark.slow
def test_data_without_skill_end_with_marked_base_rates(tmp_path, store_home):
    import numpy as np

    rng = np.random.default_rng(3)
    # Everybody acts by one and the same coin, whatever they did before: there is nothing to know.
    rows = [
        (f"c{k:03d}", f"2024-{month:02d}-{day:02d}", 5)
        for k in range(150)
        for month in range(1, 13)
        for day in (1, 15)
        if rng.random() < 0.35
    ]
    config = write_shop(tmp_path, rows)
    done = run_here("run", "-c", config, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "no_skill"
    scores = pq.read_table(Path(found["scores"]) / "scores.parquet")
    assert len(set(scores.filter(scores["eligible"])["p_churn"].to_pylist())) == 1
    assert "recommended for churn: our model" not in done.stdout
    assert scores.num_rows == 150
    assert all("no_skill" in warnings for warnings in nonempty(scores["warnings"].to_pylist()))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cdnow", "online_retail"])
def test_the_public_sets_come_in_and_reconcile(name):
    public_file(
        {
            "cdnow": "cdnow/cdnow_master.parquet",
            "online_retail": "online_retail/online_retail.parquet",
        }[name]
    )
    found = json.loads(
        lifecycle("check", "-c", ROOT / "examples" / f"{name}.toml", "--json").stdout
    )
    told = found["tables"]["transactions"]
    assert told["read"] == told["kept"] + sum(told["rejected"].values())
    if name == "online_retail":
        assert told["rejected"]["customer_id_missing"] == 135_080
    else:
        assert told["rejected"] == {"exact_duplicate": 255}


def test_a_command_whose_extra_is_absent_says_which(tmp_path):
    """Optuna hidden by a module of its name that is none: what `pip install .[serve]` leaves
    out.
    """
    (tmp_path / "optuna.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'optuna'\", name='optuna')"
    )
    rows = [
        (f"c{who}", f"2024-{month:02d}-05", 5)
        for who in range(300)
        for month in range(1, 13)
        if (who * month) % 7 < 4
    ]
    config = write_shop(tmp_path, rows)
    done = lifecycle("train", "-c", config, PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "needs the extra 'train'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_holds_every_room_and_the_door():
    import tomllib

    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert set(build["targets"]["wheel"]["only-include"]) == rooms
    assert build["dev-mode-dirs"] == ["."]


@pytest.mark.parametrize(("folder", "code"), [("", 0), ("absent", 1)])
def test_the_doctor_s_worst_finding_is_its_exit_code(tmp_path, folder, code):
    done = run_here("doctor", "--json", LIFECYCLE_HOME=str(tmp_path / folder))
    assert done.returncode == code
    states = {one["name"]: one["state"] for one in json.loads(done.stdout)["findings"]}
    assert states["home"] == ("failed" if code else "ok")
