"""What the dashboard and the alerts ask Prometheus, and the names of metrics and labels in it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parent.parent / "deploy"
RULES = DEPLOY / "prometheus/alerts.yaml"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/latchkey.json").read_text())
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]

PANELS = [each for each in DASHBOARD["panels"] if each["type"] != "row"]
VARIABLES = {each["name"]: each for each in DASHBOARD["templating"]["list"]}

# No value of ours has a brace or a quotation mark in it.
_SELECTOR = re.compile(r"([a-z_]\w*)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)")
_NO_NAME = re.compile(r"\w+\s*(?=\()|\b(?:and|or|unless|offset)\b|\b\d\w*")


@dataclass(frozen=True)
class Query:
    """One query: the panel or alert that it is of, and the labels that its answers are told by."""

    where: str
    text: str
    named: frozenset[str]

    @property
    def matchers(self) -> list[tuple[str, str, str]]:
        """The metric, the label and the value of each matcher."""
        return [
            (metric, label, value)
            for metric, inner in _SELECTOR.findall(self.text)
            for label, value in _MATCHER.findall(inner)
        ]

    @property
    def grouped(self) -> set[str]:
        """The labels that are left, or matched, after grouping; none when nothing is grouped."""
        lists = _GROUPING.findall(self.text)
        return {label for words in lists for label in re.findall(r"\w+", words)}

    @property
    def metrics(self) -> set[str]:
        """Every name that is no function, no keyword and no label."""
        text = re.sub(r'"[^"]*"', "", self.text)
        text = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", text)
        text = _NO_NAME.sub(" ", _GROUPING.sub(" ", text))
        return set(re.findall(r"[A-Za-z_]\w*", text))


def queries() -> Iterator[Query]:
    """Give every query there is."""
    for panel in PANELS:
        for target in panel["targets"]:
            named = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            where = f"{panel['title']} {target['refId']}"
            yield Query(where, target["expr"], frozenset(named) - {"le"})
    for alert in ALERTS:
        named = re.findall(r"\$labels\.(\w+)", str(alert["annotations"]))
        yield Query(alert["alert"], alert["expr"], frozenset(named))
    for variable in VARIABLES.values():
        if found := re.fullmatch(r"label_values\((.*), (\w+)\)", variable.get("definition", "")):
            yield Query(f"${variable['name']}", found[1], frozenset({found[2]}))
