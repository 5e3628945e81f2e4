"""The typed client: written from the schema of the service, and answered by it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from lifecycle.client import Answer, Client, ServiceError
from serving.api.answers import COLUMNS
from tests.support.running_services import KEY

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def generator():
    path = ROOT / "scripts" / "generate_client.py"
    spec = importlib.util.spec_from_file_location("generate_client", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_that_of_the_schema_and_equal_each_time(generator, tmp_path, monkeypatch):
    assert generator.main(["--check"]) == 0
    assert generator.client_text() == generator.client_text() == generator.FILE.read_text()
    stale = tmp_path / "lifecycle" / "client.py"
    stale.parent.mkdir()
    stale.write_text(generator.client_text() + "\n")
    monkeypatch.setattr(generator, "FILE", stale)
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    assert generator.main(["--check"]) == 1


def test_it_needs_the_standard_library_alone(generator):
    lines = generator.client_text().splitlines()
    imported = {
        line.split()[1].split(".")[0] for line in lines if line.startswith(("import ", "from "))
    }
    assert imported <= sys.stdlib_module_names


def test_every_column_of_an_entry_is_typed():
    [entry] = Answer.__annotations__["scores"].__forward_arg__.split("[")[1:]
    types = sys.modules["lifecycle.client"]
    assert set(COLUMNS) <= set(vars(types)[entry.rstrip("]")].__annotations__)


@pytest.mark.slow
def test_a_running_service_answers_it(running_shop):
    client = Client(f"http://127.0.0.1:{running_shop.port}", KEY)
    customer = running_shop.customer
    answer = client.score({"customer_ids": [customer, "nobody"]})
    assert [entry["error"] for entry in answer["scores"]] == [None, "unknown_customer"]
    assert client.customer(customer)["scores"] == answer["scores"][:1]
    explanation = client.explain({"customer_ids": [customer]})
    assert explanation["score"] == answer["scores"][0]
    assert client.model()["release_id"] == answer["release_id"]
    with pytest.raises(ServiceError, match="customer_ids") as refused:
        client.score({"customer_ids": [" "]})
    assert (refused.value.status, refused.value.retry_after) == (422, None)
    assert refused.value.refusal["errors"][0]["where"] == "customer_ids[0]"
    with pytest.raises(ServiceError, match="401"):
        Client(f"http://127.0.0.1:{running_shop.port}/", "another key").model()
    with pytest.raises(ServiceError, match="404"):
        client.customer("a/b?c")
