"""The report of the latest run behind the key: the page, its tables and lists, nothing else."""

from __future__ import annotations

import dataclasses
import os
from urllib.parse import quote

import pytest

from tests.support.page_text import Page, style_hash
from tests.support.services import KEY

STYLE, OTHER_STYLE = "body { margin: 1px; }", "body { margin: 2px; }"
KEY_HEADER = [(b"authorization", f"Bearer {KEY}".encode())]


def write_report(folder, style: str = STYLE) -> None:
    for name in ("tables", "lists"):
        (folder / "report_files" / name).mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(
        f"<!DOCTYPE html><html><head><style>{style}</style></head><body><p>今天</p></body></html>",
        encoding="utf-8",
    )
    (folder / "report_files" / "tables" / "stages_now.csv").write_text("stage,n\nloyal,3\n")
    (folder / "report_files" / "tables" / "stages_now.parquet").write_bytes(b"PAR1")
    (folder / "report_files" / "lists" / "when.csv").write_text("customer_id\n000001\n")
    (folder / "report_files" / "lists" / "when.parquet").write_bytes(b"PAR1")
    (folder / "secret.txt").write_text("secret")


@pytest.fixture
def reports(shop_service, tmp_path):
    """(service, folder of the report) of a run whose report was written."""
    served = shop_service.desk.served
    write_report(tmp_path / "report")
    run = dataclasses.replace(served.run, folder=tmp_path)
    shop_service.desk.served = dataclasses.replace(served, run=run)
    yield shop_service, tmp_path / "report"
    shop_service.desk.served = served


def test_the_page_is_as_it_was_written_and_its_policy_allows_its_style_alone(reports):
    service, folder = reports
    response = service.get("/report/report.html")
    assert response.content == (folder / "report.html").read_bytes()
    policies = response.headers.get_list("content-security-policy")
    assert len(policies) == 1
    assert f"style-src 'sha256-{style_hash(Page(response.text).style)}'" in policies[0]
    assert "default-src 'none'" in policies[0]


def test_a_newer_page_has_the_policy_of_its_own_style(reports):
    service, folder = reports
    service.get("/report/report.html")
    write_report(folder, OTHER_STYLE)
    os.utime(folder / "report.html", ns=(1, 1))
    policy = service.get("/report/report.html").headers["content-security-policy"]
    assert style_hash(OTHER_STYLE) in policy
    assert style_hash(STYLE) not in policy


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tables/stages_now.csv", "text/csv; charset=utf-8"),
        ("tables/stages_now.parquet", "application/vnd.apache.parquet"),
        ("lists/when.csv", "text/csv; charset=utf-8"),
    ],
)
def test_a_table_or_list_is_a_download_of_its_name(reports, name, kind):
    service, folder = reports
    response = service.get(f"/report/report_files/{name}")
    assert response.status_code == 200
    assert response.content == (folder / "report_files" / name).read_bytes()
    assert response.headers["content-type"] == kind
    file = name.split("/")[1]
    assert response.headers["content-disposition"] == f'attachment; filename="{file}"'
    assert response.headers["cache-control"] == "no-store"
    assert service.spoken("GET", f"/report/report_files/{name}").status == 401


@pytest.mark.parametrize(
    "name",
    [
        "",
        "report",
        "secret.txt",
        "report_files",
        "report_files/",
        "report_files/secret.txt",
        "report_files/../secret.txt",
        "report_files/tables/../../secret.txt",
        "report_files/tables/..%2f..%2fsecret.txt",
        "report_files/tables/../tables/stages_now.csv",
        "report_files//tables/stages_now.csv",
        "report_files/tables/stages_now.csv/",
        "report_files/tables/stages_now.CSV",
        "report_files/tables/stages_now.csv\0",
        "report_files/tables/stages_now.csv\n",
        "report_files/tables/stages_now",
        "report_files/tables/none.csv",
        "report_files/tables/link.csv",
        "report_files/tables/folder.csv",
        "report_files/lists/when.parquet",
        "report_files\\tables\\stages_now.csv",
        "/etc/passwd",
        "../manifest.json",
        "../report/report.html",
        "report.html/",
        "report_files/tables/" + "a" * 5000 + ".csv",
        "report_files/tables/été.csv",
    ],
)
def test_no_other_name_opens_anything(reports, name):
    service, folder = reports
    tables = folder / "report_files" / "tables"
    (tables / "link.csv").symlink_to(folder / "secret.txt")
    (tables / "folder.csv").mkdir()
    for path in (f"/report/{name}", f"/report/{quote(name)}"):
        answer = service.spoken("GET", path, headers=KEY_HEADER)
        assert answer.status == 404, path
        assert b"secret" not in answer.body


@pytest.fixture
def serve_run(shop_service, tmp_path):
    """Serve a run of this day and name in tmp_path; the runs beside it may have reports."""
    served = shop_service.desk.served

    def serve(day: str, name: str):
        run = dataclasses.replace(served.run, folder=run_folder(tmp_path, day, name))
        run.folder.mkdir(parents=True)
        shop_service.desk.served = dataclasses.replace(served, run=run)
        return shop_service

    yield serve
    shop_service.desk.served = served


def run_folder(scores, day: str, name: str):
    return scores / f"as_of={day}" / f"run={name}"


def test_without_any_report_the_pages_say_how_to_get_one(serve_run):
    service = serve_run("2024-01-31", "b")
    response = service.get("/report/report.html")
    assert response.status_code == 404
    assert "lifecycle run" in response.text
    assert "The latest report" not in service.get("/").text


def test_a_run_without_a_report_has_the_newest_of_the_others(serve_run, tmp_path):
    service = serve_run("2024-01-31", "b")
    for day, name in (("2024-01-29", "a"), ("2024-01-30", "z"), ("2024-01-30", "a")):
        write_report(run_folder(tmp_path, day, name) / "report", f"p {{ color: {day}{name}; }}")
        os.utime(run_folder(tmp_path, day, name) / "report" / "report.html", ns=(7, 7))
    os.utime(run_folder(tmp_path, "2024-01-30", "a") / "report" / "report.html", ns=(9, 9))
    assert "2024-01-30a" in service.get("/report/report.html").text
    assert "The latest report" in service.get("/").text
    assert service.get("/report/report_files/tables/stages_now.csv").status_code == 200
    write_report(run_folder(tmp_path, "2024-01-31", "b") / "report", "p { color: own; }")
    assert "color: own" in service.get("/report/report.html").text
