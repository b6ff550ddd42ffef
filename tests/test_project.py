"""Guides, templates, hooks and the CI workflow say what is true of the project."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from settings import VERSION
from tests.pages import ROOT
from tests.test_layout import SHIPPED

GUIDES = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")]
TEMPLATES = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def read_yaml(path: str):
    return yaml.safe_load((ROOT / path).read_text())


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_links(page: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    assert [each for each in links if "://" not in each and not (ROOT / each).exists()] == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_lines_are_short(page: Path):
    assert [line for line in page.read_text().splitlines() if len(line) > 120] == []


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path):
    """A bare name is that of some file; a path is one from the root."""
    named = set(re.findall(r"`([\w./-]+\.(?:py|md|json|toml|txt))`", page.read_text()))
    files = {str(file.relative_to(ROOT)) for file in [*SHIPPED, *(ROOT / "tests").rglob("*.py")]}
    known = {name.rpartition("/")[2] for name in files}
    assert [name for name in named if name not in known and not (ROOT / name).exists()] == []


def test_make_targets_that_are_named_exist():
    text = "".join(page.read_text() for page in GUIDES)
    named = set(re.findall(r"`make (\w[\w-]*)", text)) | set(
        re.findall(r"^    make (\w+)", text, re.M)
    )
    assert "coverage" in named
    assert [name for name in named if f"\n{name}:" not in MAKEFILE] == []


def test_one_version():
    """Each other place compares itself with settings.VERSION: OpenAPI, metrics."""
    assert PROJECT["project"]["version"] == VERSION
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    ran = subprocess.run(
        [sys.executable, "server.py", "--version"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout == f"Latchkey {VERSION}\n"


def test_ci_runs_the_checks_and_the_suite_on_each_python():
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]
    versions = job["strategy"]["matrix"]["python"]
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    assert versions[0] == oldest
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make check", "make test"]
    assert {each for each in versions if each not in (ROOT / ".ci/run").read_text()} == set()


def test_hooks_run_what_make_check_runs():
    [repo] = read_yaml(".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    commands = {hook["entry"].replace(" --force-exclude", "") for hook in repo["hooks"]}
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.M)[1]
    made = {
        line.strip().replace("$(BIN)", ".venv/bin").removesuffix(" .")
        for line in check.splitlines()
    }
    assert commands < made


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda file: file.name)
def test_issue_templates_are_complete(template: Path):
    form = yaml.safe_load(template.read_text())
    if template.name == "config.yml":
        return
    assert form.keys() == {"name", "description", "labels", "body"}
    ids = [each["id"] for each in form["body"] if each["type"] != "markdown"]
    assert ids
    assert len(ids) == len(set(ids))


def test_the_image_is_built_from_what_it_copies():
    """Nothing that the Dockerfile copies is ignored, and it copies each module of the root."""
    text = (ROOT / "Dockerfile").read_text().replace("${REQUIREMENTS}", "requirements.txt")
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == {
        *copied,
        "requirements-tracing.txt",  # an argument may name it instead
    }
    assert {file.name for file in ROOT.glob("*.py")} <= copied
