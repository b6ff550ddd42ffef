"""The dashboard, the alerts and docs/metrics.md name what a real server shows, and all of it."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import pytest
import yaml
from aiohttp.test_utils import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app import create_app
from handlers import DIALECTS
from settings import Settings
from store.limits import parse_limit
from tests.conftest import Server, empty_stores
from tests.handlers.dialects.fardel_rows import ADA
from tests.handlers.dialects.lumotist_rows import LOGIN, TEST, token
from tests.promql import ALERTS, DASHBOARD, DEPLOY, PANELS, VARIABLES, queries
from webhooks.settings import parse_webhooks

ROOT = Path(__file__).parent.parent
SCRAPED = {"job", "instance"}
"""What Prometheus adds to every series."""
DOCUMENTED = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", re.MULTILINE)
READS = {"/account/profile", "/auth/users/me", "/user/{id:[0-9]+}", "/api/auth/profile"}
QUERIES = list(queries())


@dataclass
class Shown:
    """What GET /metrics shows: families with their types, samples with their labels' values."""

    families: dict[str, str] = field(default_factory=dict)
    samples: Mapping[str, dict[str, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )

    def labels(self, name: str) -> set[str]:
        return set(self.samples[name]) | SCRAPED


def read(text: str) -> Shown:
    shown = Shown()
    for family in text_string_to_metric_families(text):
        suffix = "_total" if family.type == "counter" else ""
        shown.families[family.name + suffix] = family.type
        for sample in family.samples:
            for label, value in sample.labels.items():
                shown.samples[sample.name][label].add(value)
            shown.samples[sample.name]["job"].add("latchkey")
    shown.samples["up"]["job"].add("latchkey")  # Prometheus' own
    return shown


@pytest.fixture(scope="module")
async def shown(settings: Settings, database, redis_client) -> Shown:
    """All metrics after some of everything: more logins at once than threads hash, and too many."""
    empty_stores(database, redis_client)
    narrow = {"password_wait": 0.1, "bcrypt_rounds": 10, "login_limit": parse_limit("54/hour")}
    nobody = parse_webhooks("app http://127.0.0.1:9/ whsec_" + "a" * 32)
    app = create_app(replace(settings, rate_limits="on", events="on", webhooks=nobody, **narrow))
    async with TestClient(Server(app)) as client:
        return await metrics_after_use(client)


async def metrics_after_use(client: TestClient) -> Shown:
    async def log_in(**changed: str) -> int:
        return (await client.post("/account/login", json={**LOGIN, **changed})).status

    given = (await (await client.post("/account/register", json=TEST)).json())["token"]
    for path in ("/account/profile", "/auth/users/me", "/user/1", "/healthz", "/nowhere"):
        await client.get(path, headers=token(given))
    await client.post("/fardel/api/auth/register", json=ADA)
    assert [await log_in(), await log_in(password="wrong")] == [200, 400]
    assert 503 in await asyncio.gather(*(log_in() for _ in range(50)))
    assert 429 in [await log_in() for _ in range(4)]
    await client.post("/account/logout", headers=token(given))
    return read(await (await client.get("/metrics")).text())


async def test_every_metric_that_is_asked_for_is_there(shown: Shown):
    named = {name for query in QUERIES for name in query.metrics}
    assert named - shown.samples.keys() == set()
    assert len(named) > 15


async def test_every_label_that_is_asked_for_is_there(shown: Shown):
    wrong = [
        (query.where, metric, label)
        for query in QUERIES
        for metric, label, _ in query.matchers
        if label not in shown.labels(metric)
    ]
    for query in QUERIES:
        known = set().union(*(shown.labels(name) for name in query.metrics))
        left = query.grouped or known
        wrong += [(query.where, label) for label in query.grouped - known | query.named - left]
    assert wrong == []


async def test_every_value_that_is_asked_for_is_there(shown: Shown):
    """Of the alternatives of a pattern one at least; variables stand for any."""
    missing = [
        (query.where, metric, label, value)
        for query in QUERIES
        for metric, label, value in query.matchers
        if "$" not in value
        and not any(re.fullmatch(value, real) for real in shown.samples[metric][label])
    ]
    assert missing == []


async def test_every_metric_is_on_the_dashboard(shown: Shown):
    """But Python's own."""
    asked = str(PANELS)
    ours = {name for name in shown.families if name.startswith("latchkey_")}
    assert {name for name in ours if name not in asked} == set()


async def test_the_documentation_has_every_metric_and_no_other(shown: Shown):
    """With its type and its labels."""
    text = (ROOT / "docs/metrics.md").read_text()
    told = {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in DOCUMENTED.findall(text)
    }
    real = {}
    for name, kind in shown.families.items():
        of_samples = [shown.labels(each) for each in (name, f"{name}_count")]
        real[name] = (kind, set().union(*of_samples) - SCRAPED)
    assert told == real
    named = set(re.findall(r"\b(?:latchkey|process|python_gc)_\w+", text))
    assert named - shown.families.keys() - shown.samples.keys() == set()


def test_reads_are_what_hashes_nothing():
    """The pattern that stands for them finds all of them, under any prefix, and nothing else."""
    patterns = {
        value
        for query in QUERIES
        for metric, label, value in query.matchers
        if label == "route" and metric.startswith("latchkey_request_seconds")
    }
    [pattern] = patterns
    for prefix in ("", "/v1"):
        routes = {path for dialect in DIALECTS.values() for path in dialect.endpoints}
        assert {path for path in routes if re.fullmatch(pattern, prefix + path)} == READS


def test_every_panel_says_what_it_shows():
    for panel in PANELS:
        assert panel["title"], panel["id"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert refs, panel["title"]
        assert len(set(refs)) == len(refs), panel["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert DASHBOARD["schemaVersion"] >= 39


def test_no_panel_lies_on_another():
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(at["x"] >= 0 and at["w"] > 0 and at["x"] + at["w"] <= 24 for at in places)
    for one, other in combinations(places, 2):
        apart = (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        )
        assert apart, (one, other)


def test_every_variable_is_used_and_every_one_used_is_there():
    """No panel is bound to a data source of its own."""
    sources = [panel["datasource"] for panel in PANELS]
    sources += [target["datasource"] for panel in PANELS for target in panel["targets"]]
    assert all(each == {"type": "prometheus", "uid": "${datasource}"} for each in sources)
    used = set(re.findall(r"\$\{?(\w+)", " ".join(str(panel) for panel in PANELS)))
    assert used == {*VARIABLES, "__rate_interval"}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_says_what_to_do(alert):
    assert re.fullmatch(r"\d+m", alert["for"])
    assert alert["labels"]["severity"] in {"critical", "warning"}
    told = alert["annotations"]
    assert told["summary"]
    assert told["description"].endswith(".")
    assert told["runbook"] == f"docs/operating.md#{alert['alert'].lower()}"


def test_every_alert_has_its_section():
    """A heading that is its name, and no heading is left of one that is gone."""
    text = (ROOT / "docs/operating.md").read_text()
    headings = re.findall(r"^#+ `?(Latchkey[A-Z]\w+)`?$", text, re.MULTILINE)
    assert sorted(headings) == sorted(alert["alert"] for alert in ALERTS)


def test_every_alert_is_shown_to_fire():
    """By promtool's tests, which `make deploy-check` runs."""
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts_test.yaml").read_text())["tests"]
    expected = str([each["promql_expr_test"] for each in tests])
    fired = set(re.findall(r'alertname="(\w+)"', expected))
    assert fired == {alert["alert"] for alert in ALERTS}


def test_a_wait_is_long_when_it_is_half_of_what_is_allowed():
    [alert] = [each for each in ALERTS if each["alert"] == "LatchkeyPasswordsWait"]
    assert float(alert["expr"].rpartition(">")[2]) == Settings().password_wait / 2
