"""The rules, their tests, and a real Prometheus that scrapes a real server for the dashboard."""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest

from deploy.tests.balancer import free_port
from deploy.tests.engines import run
from tests.faults.crowd import on
from tests.program import PATIENCE, Client, Program, Response, wait_for
from tests.promql import ALERTS, DEPLOY, RULES, Query, queries

PROMTOOL, PROMETHEUS = shutil.which("promtool"), shutil.which("prometheus")
HERE = DEPLOY / "prometheus"
STANDS_FOR = {"$__rate_interval": "1m", "$instance": ".*", "$dialect": ".+"}
SCRAPES = 2
"""What a rate needs."""

pytestmark = [
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed"),
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed"),
]


class Prometheus:
    """A run of Prometheus with the project's own configuration, for one server."""

    def __init__(self, directory: Path, target: str) -> None:
        self._port = free_port("127.0.0.1")
        shutil.copy(RULES, directory)
        given = (HERE / "prometheus.yml").read_text()
        often = given.replace("15s", "1s", 2)
        ours = re.sub(r"targets: \[\"10.*\]", f'targets: ["{target}"]', often)
        assert ours != often
        (directory / "prometheus.yml").write_text(ours)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # __exit__
        self._process = subprocess.Popen(
            [
                PROMETHEUS,
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ],
            cwd=directory,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._log.close()

    def get(self, path: str) -> Response:
        with contextlib.closing(Client(self._port)) as client:
            client.send("GET", path)
            return client.receive()

    def data(self, path: str) -> Any:
        """Return the data that a path of its API answers; it must be a success."""
        answer = self.get(f"/api/v1/{path}")
        assert answer.status == 200, (path, answer.body)
        return answer.json["data"]

    def ask(self, query: str) -> list[Any]:
        """Return the series that answer a query."""
        return list(self.data(f"query?query={quote(query)}")["result"])

    def is_ready(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/-/ready").status == 200
        return False

    def has_scraped(self) -> bool:
        """Return whether it has seen the traffic often enough for a rate."""
        return bool(self.ask(f"count_over_time(latchkey_logins_total[1m]) >= {SCRAPES}"))


@pytest.fixture(params=["1", "2"], ids=["one process", "two workers"])
def server(stores: tuple[str, str], clean: None, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server that has done some of everything."""
    with Program(**on(stores, WORKERS=request.param)).serve() as program:
        token = program.register("seen")
        fresh = {"email": "fresh@example.com", "password": "correct horse"}
        requests = [
            ("GET", "/account/profile", None, token),
            ("POST", "/account/login", {"username": "seen", "password": "wrong horse"}),
            ("POST", "/account/login", {"username": "seen", "password": "correct horse"}),
            ("POST", "/fardel/api/auth/register", fresh),
            ("POST", "/account/logout", None, token),
            ("GET", "/nowhere"),
        ]
        statuses = [program.ask(*each).status for each in requests]
        assert statuses == [200, 400, 200, 200, 200, 404]
        yield program


@pytest.fixture
def prometheus(server: Program, tmp_path: Path) -> Iterator[Prometheus]:
    with Prometheus(tmp_path, f"127.0.0.1:{server.port}") as prometheus:
        assert wait_for(prometheus.is_ready)
        assert wait_for(prometheus.has_scraped)
        yield prometheus


def plain(query: Query) -> str:
    """Return a query as Grafana sends it when everything is chosen."""
    text = query.text
    for variable, value in STANDS_FOR.items():
        text = text.replace(variable, value)
    assert "$" not in text
    return text


def is_of_the_process(query: Query) -> bool:
    return any(name.startswith("process_") for name in query.metrics)


def test_the_configuration_and_the_rules_are_valid():
    assert "SUCCESS" in run([PROMTOOL, "check", "config", str(HERE / "prometheus.yml")])
    said = run([PROMTOOL, "check", "rules", str(RULES)])
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_each_alert_fires_when_it_should_and_not_before():
    assert "SUCCESS" in run([PROMTOOL, "test", "rules", str(HERE / "alerts_test.yaml")])


def test_an_alert_that_never_fires_is_found(tmp_path: Path):
    """The tests of the rules can fail."""
    shutil.copy(HERE / "alerts_test.yaml", tmp_path)
    text = RULES.read_text()
    (tmp_path / "alerts.yaml").write_text(text.replace("up{job=", "up{jobs="))
    line = [PROMTOOL, "test", "rules", str(tmp_path / "alerts_test.yaml")]
    done = subprocess.run(line, capture_output=True, check=False, timeout=PATIENCE * 2)
    assert done.returncode != 0


def test_what_is_exposed_is_well_named(server: Program):
    exposition = server.ask("GET", "/metrics").body.decode()
    assert run([PROMTOOL, "check", "metrics"], input=exposition) == ""


def test_the_dashboards_queries_are_answered(server: Program, prometheus: Prometheus):
    """All of them with something; but what only one process can know."""
    [target] = prometheus.data("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    alerts = {alert["alert"] for alert in ALERTS}
    answers = {each: prometheus.ask(plain(each)) for each in queries() if each.where not in alerts}
    empty = {each for each, series in answers.items() if not series}
    several = prometheus.ask('process_cpu_seconds_total{job="latchkey"}') == []
    assert empty == {each for each in answers if several and is_of_the_process(each)}
    assert len(answers) > 30


def test_the_rules_are_evaluated(prometheus: Prometheus):
    """On what a healthy server shows: none fails, none fires."""

    def evaluated() -> list[Any]:
        [group] = prometheus.data("rules")["groups"]
        return [each for each in group["rules"] if each["health"] != "unknown"]

    assert wait_for(lambda: len(evaluated()) == len(ALERTS))
    assert {each["health"] for each in evaluated()} == {"ok"}
    assert [each["name"] for each in evaluated() if each["state"] != "inactive"] == []
