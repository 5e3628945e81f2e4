"""The doctor on what is installed, with the metadata of packages as pip leaves them."""

from __future__ import annotations

import importlib
import platform

import pytest

from serving.doctor import examine
from tests.support.damaged_home import commands, found


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Write the metadata of packages that stand before the real ones, as pip leaves them."""
    place = tmp_path / "packages"
    place.mkdir()
    monkeypatch.syspath_prepend(place)

    def write(name, version, *lines):
        folder = place / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines])
            + "\n"
        )
        importlib.invalidate_caches()

    return write


def test_what_is_installed_fits_the_floors():
    assert found("python").state == "ok"
    assert platform.python_version() in found("python").observed
    assert found("libraries").state == "ok"


@pytest.mark.parametrize(
    ("name", "version"),
    [("duckdb", "2.0.1"), ("duckdb", "1.4.9"), ("narwhals", "1.0"), ("pydantic", "2.13")],
)
def test_a_library_outside_its_range_fails_and_says_what_to_install(packages, name, version):
    packages(name, version)
    seen = found("libraries")
    assert seen.state == "failed"
    assert seen.observed.startswith(f"{name} {version} (required: ")
    assert commands(seen)[0].startswith(f"pip install '{name}")


def test_an_optional_part_below_its_floor_fails(packages):
    pytest.importorskip("mlflow")
    packages("mlflow", "3.10.0")
    seen = found("extra train")
    assert (seen.state, seen.observed[:13]) == ("failed", "mlflow 3.10.0")


OURS = (
    "Requires-Python: >=3.11",
    "Provides-Extra: serve",
    "Provides-Extra: other",
    "Requires-Dist: duckdb",
)


def test_a_python_too_old_a_library_that_is_missing_and_half_a_part(packages):
    packages(
        "customer-lifecycle",
        "9.0",
        "Requires-Python: >=3.99",
        *OURS[1:],
        "Requires-Dist: not-there-at-all>=2",
        "Requires-Dist: numpy; extra == 'serve'",
        "Requires-Dist: neither-here>=1; extra == 'serve'",
        "Requires-Dist: nor; extra == 'other'",
        "Requires-Dist: there; extra == 'other'",
        "Requires-Dist: elsewhere; sys_platform == 'none'",
    )
    assert found("python").state == "failed"
    assert found("libraries").observed == "not-there-at-all is missing"
    assert commands(found("libraries")) == ["pip install 'not-there-at-all>=2'"]
    assert (found("extra serve").state, found("extra serve").observed) == (
        "warning",
        "neither-here is missing",
    )
    assert not [f for f in examine.examine() if f.name == "extra other"]


def test_two_builds_of_one_library_are_in_each_others_way(packages):
    assert not [f for f in examine.examine() if f.name == "xgboost"]
    packages("xgboost", "3.2.0")
    packages("xgboost-cpu", "3.2.0")
    assert found("xgboost").state == "warning"
