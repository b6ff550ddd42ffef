"""The option that adds the scenarios of four operations."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--four", action="store_true", help="also explore four operations at a time")
