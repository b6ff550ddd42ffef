"""The README and docs/: commands print what is shown, and settings, routes and links are right."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from settings import Settings, setting_fields
from tests.pages import PAGES, README, ROOT, Place, constant, free_port, steps
from tests.store.databases import own_database

INDEX = ROOT / "docs/index.md"
OPERATING = ROOT / "docs/operating.md"
SETTINGS = (ROOT / "docs/settings.md").read_text()
CONTRACTS = ROOT / "docs/contracts"
ALERTS = (ROOT / "deploy/prometheus/alerts.yaml").read_text()

WITH_COMMANDS = [page for page in PAGES if steps(page) and page != OPERATING]
ROW = re.compile(r"^\| (`[A-Z_]+`(?:, `[A-Z_]+`)*) \| (.*?) \| (.*?) \|", re.MULTILINE)
REDIS_CONF = "port {port}\nbind 127.0.0.1\ndir {path}/redis\npidfile {path}/redis.pid\n" + (
    'requirepass horse-battery\nappendonly yes\nsave ""\ndaemonize yes\n'
)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Place]:
    """A place where a server runs as `make run` starts it, with stores of its own."""
    place = Place(tmp_path, free_port(), {"DATA_DIR": str(tmp_path / "data")})
    place.furnish()
    (tmp_path / "etc/env").touch()
    assert place.run(["systemctl start latchkey"]) == ["\n"]
    yield place
    place.run(["systemctl stop latchkey"])


@pytest.fixture
def deployed(tmp_path: Path, stores: tuple[str, str], durable: None) -> Iterator[Place]:
    """A place with a PostgreSQL database and a Redis that no server runs, and settings in files."""
    redis_port = free_port()
    redis_url = f"redis://default:horse-battery@127.0.0.1:{redis_port}/0"
    with own_database(stores) as database_url:
        place = Place(tmp_path, free_port(), {"REDIS_URL": redis_url})
        place.furnish()
        (tmp_path / "etc/redis.conf").write_text(REDIS_CONF.format(port=redis_port, path=tmp_path))
        (tmp_path / "etc/env").write_text(
            f"DATABASE_URL='{database_url}'\nREDIS_URL={redis_url}\n"
            f"SECRET_KEYS_FILE={tmp_path}/etc/secret_keys\n"
        )
        assert place.run(["systemctl start redis"]) == ["\n"]
        yield place
        place.run(["systemctl stop latchkey", "systemctl stop redis"])


def check_commands(page: Path, place: Place) -> None:
    commands, shown = zip(*steps(page), strict=True)
    printed = place.run(list(commands))
    assert as_text(commands, printed) == as_text(commands, shown)


def as_text(commands: Sequence[str], answers: Sequence[str]) -> list[str]:
    pairs = zip(commands, map(constant, answers), strict=True)
    return "\n".join(f"$ {command}\n{answer}" for command, answer in pairs).splitlines()


def at_its_time(page: Path) -> Any:
    """The tour is always tried; the other pages take a minute."""
    return page if page.name == "README.md" else pytest.param(page, marks=pytest.mark.slow)


needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


@needs_curl
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "page", [*map(at_its_time, WITH_COMMANDS)], ids=[*map(name_of, WITH_COMMANDS)]
)
def test_commands(page: Path, running: Place):
    """Every command line of a page prints what the page shows."""
    check_commands(page, running)


needs_redis_cli = pytest.mark.skipif(
    not shutil.which("redis-cli"), reason="redis-cli (Debian: redis-tools) is not installed"
)


@needs_curl
@needs_redis_cli
@pytest.mark.timeout(180)
@pytest.mark.slow
def test_commands_of_an_operator(deployed: Place):
    """Backup, restore and a change of keys, on stores that outlive the server."""
    check_commands(OPERATING, deployed)


def test_there_are_commands():
    counts = {name_of(page): len(steps(page)) for page in PAGES}
    assert counts["README.md"] > 5
    assert counts["docs/getting-started.md"] > 5
    assert counts["docs/operating.md"] > 20


def test_the_paths_of_no_dialect_are_named():
    """Those of the dialects have headings: tests/handlers/dialects/test_contracts.py."""
    contracts = "".join(page.read_text() for page in CONTRACTS.glob("*.md"))
    public = ("/pictures/<id>", "/openapi.json", "/docs")
    assert [path for path in public if path not in contracts] == []
    probes = ("/healthz", "/readyz", "/metrics")
    assert [path for path in probes if path not in OPERATING.read_text()] == []


def settings_table() -> dict[str, tuple[str, str]]:
    """Return the default and what is allowed, as the page has them, by the setting's name."""
    rows = ROW.findall(SETTINGS)
    assert len({name for name, _, _ in rows}) == len(rows), "a setting has two rows"
    return {name.strip("`"): (default, allowed) for name, default, allowed in rows}


def test_every_setting_has_a_row():
    names = {each.name.upper() for each in setting_fields()}
    assert settings_table().keys() == names


@pytest.mark.parametrize("each", setting_fields(), ids=lambda each: each.name)
def test_the_default_of_a_setting(each):
    """What stands in backticks is read as a setting is; without them there is no default."""
    default, real = settings_table()[each.name.upper()][0], getattr(Settings(), each.name)
    if given := re.match("`(.+?)`", default):
        assert each.metadata["parse"](given[1]) == real
    else:
        assert not real


@pytest.mark.parametrize("each", setting_fields(), ids=lambda each: each.name)
def test_what_is_allowed_of_a_setting(each):
    allowed = settings_table()[each.name.upper()][1]
    real = each.metadata["allowed"]
    if bounds := re.fullmatch(r"a .*number.* from (\S+) to (\S+)", real):
        assert allowed == "{} to {}".format(*bounds.groups())
    elif re.fullmatch(r"\w+ or \w+", real):
        assert set(re.findall(r"`(\w+)`", allowed)) == set(real.split(" or "))


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Return what a page links to, but for other sites."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [link for link in found if "://" not in link]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path):
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def targets(page: Path) -> set[Path]:
    """Return the files that a page links to."""
    return {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}


def test_the_index_leads_to_every_page():
    """The README links to the table of contents, which links to every page below docs/."""
    assert INDEX in targets(README)
    assert {*(ROOT / "docs").rglob("*.md")} - {INDEX} <= targets(INDEX)


def test_every_alert_has_a_section():
    alerts = re.findall(r"alert: (\w+)", ALERTS)
    assert alerts
    sections = re.findall(r"^### (Latchkey\w+)$", OPERATING.read_text(), re.MULTILINE)
    assert sections == alerts
