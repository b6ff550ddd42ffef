"""compose.yaml: it parses, and agrees with the server, the image and the balancer."""

import re
import shutil
import stat
import subprocess
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.serving import SHUTDOWN_SECONDS
from deploy.tests.balancer import CONFIGURATION
from settings import Settings, read_settings
from tests.program import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
SERVER = SERVICES["server"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
BALANCER = "".join(file.read_text() for file in CONFIGURATION)
SECRETS = ("SECRET_KEYS", "DATABASE_URL", "REDIS_URL")
SETTINGS = {each.name.upper() for each in fields(Settings)} | {f"{name}_FILE" for name in SECRETS}
INTERPOLATED = re.compile(r"\$\{\w+:-([^}]*)\}")


def filled(text: Any) -> str:
    """Return a value as compose has it when nothing is set."""
    return INTERPOLATED.sub(r"\1", str(text))


def said(pattern: str, text: str = DOCKERFILE) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, pattern
    return found[1]


def test_every_variable_of_the_server_is_a_setting():
    given = (DEPLOY / "server.env.example").read_text()
    named = set(SERVER["environment"]) | set(re.findall(r"^#?(\w+)=", given, re.MULTILINE))
    assert named - SETTINGS == set()
    assert {f"{name}_FILE" for name in SECRETS} <= named


def test_the_values_can_be_used():
    """Those of compose.yaml and of the example, commented ones too."""
    given = (DEPLOY / "server.env.example").read_text()
    example = dict(re.findall(r"^#?([A-Z_]+)=(.*)", given, re.MULTILINE))
    values = {name: filled(value) for name, value in SERVER["environment"].items()}
    open_ones = {name: text for name, text in values.items() if not name.endswith("_FILE")}
    read_settings({**open_ones, **example})


def test_the_server_believes_the_network_that_the_balancer_stands_in():
    network = filled(COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    assert (
        SERVER["environment"]["TRUSTED_PROXIES"]
        == (COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    )
    assert ip_network(network).is_private
    assert SERVICES["balancer"]["networks"] == ["front"]


def test_only_the_balancer_is_published_and_the_stores_are_shut_in():
    assert [name for name, each in SERVICES.items() if "ports" in each] == ["balancer"]
    assert filled(SERVICES["balancer"]["ports"][0]).startswith("127.0.0.1:")
    for store in ("postgresql", "redis"):
        assert SERVICES[store]["networks"] == ["back"]
    assert COMPOSE["networks"]["back"]["internal"] is True


def test_image_compose_and_balancer_agree_on_port_and_user():
    port = said(r"^EXPOSE (\d+)")
    assert said(r"\bPORT=(\d+)") == port
    assert (
        said(r"bind \"\$\{LISTEN-:(\d+)\}", BALANCER)
        == filled(SERVICES["balancer"]["ports"][0]).rpartition(":")[2]
    )
    assert set(re.findall(r"\$\{SERVER_PORT-(\d+)\}", BALANCER)) == {port}
    internal = SERVER["environment"]["INTERNAL_PORT"]
    assert set(re.findall(r"\$\{INTERNAL_PORT-(\d+)\}", BALANCER)) == {internal} != {port}
    assert "PORT" not in SERVER["environment"]
    assert SERVER["user"] == said(r"^USER (\S+)")
    assert set(re.findall(r'"(\w+):\$\{SERVER_PORT', BALANCER)) <= SERVICES.keys()


def test_every_service_is_shut_in():
    """The stores keep only what their images' entry points need to change the user."""
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    assert {name for name, each in SERVICES.items() if "cap_add" in each} == {"postgresql", "redis"}
    assert "volumes" not in SERVER


def test_the_balancer_runs_both_files():
    mounted = SERVICES["balancer"]["volumes"][0].split(":")
    names = [word for word in SERVICES["balancer"]["command"] if word.endswith(".cfg")]
    assert names == [f"{mounted[1]}/{file.name}" for file in CONFIGURATION]


def test_docker_waits_longer_than_the_server_needs_to_stop():
    seconds = int(SERVER["stop_grace_period"].removesuffix("s"))
    assert seconds > Settings().drain_seconds + SHUTDOWN_SECONDS


def test_idle_connections_end_at_the_balancer_first():
    purge = int(said(r"pool-purge-delay (\d+)s", BALANCER))
    assert purge * 10 < Settings().keepalive_timeout
    assert int(said(r"timeout server (\d+)s", BALANCER)) > Settings().password_wait


def test_every_server_finds_room_in_the_balancer_and_at_postgresql():
    """PostgreSQL takes 100 connections by default, three of them for its superuser."""
    replicas = int(filled(SERVER["deploy"]["replicas"]))
    assert replicas <= int(said(r"server-template server (\d+)", BALANCER))
    assert 2 * replicas * Settings().database_pool <= 97  # twice as many while they are replaced


def test_services_start_in_order_and_come_back():
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped", name
        assert "memory" in service["deploy"]["resources"]["limits"], name
        assert "healthcheck" in service or name == "server", name
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}, (name, other)
    assert SERVER["depends_on"].keys() == {"postgresql", "redis"}
    assert "HEALTHCHECK" in DOCKERFILE


def test_what_is_mounted_is_there():
    for service in SERVICES.values():
        for each in service.get("volumes", []):
            source = each.partition(":")[0]
            assert source in COMPOSE["volumes"] or (DEPLOY / source).exists(), each
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Secrets made by the script, in a place of their own."""
    script = shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    subprocess.run(["sh", script], check=True)
    return tmp_path / "secrets"


def test_the_secrets_are_those_that_compose_hands_out(made: Path):
    """The server takes them; the parts of the URLs are the stores' own."""
    files = {each["file"].removeprefix("secrets/") for each in COMPOSE["secrets"].values()}
    assert {each.name for each in made.iterdir()} == files | {".gitignore"}
    environment = {f"{name}_FILE": str(made / name.lower()) for name in SECRETS}
    settings = read_settings(environment)
    password = (made / "database_password").read_text()
    assert len(password) == 64
    assert settings.database_url == f"postgresql://latchkey:{password}@postgresql/latchkey"
    required = (made / "redis.conf").read_text().split()[1]
    assert settings.redis_url == f"redis://:{required}@redis:6379/0"
    assert len({*settings.secret_keys, password, required}) == 3


def test_secrets_are_made_once_and_read_by_no_stranger(made: Path):
    """A container's user may read a file that is mounted; nobody else may enter the directory."""
    before = {each.name: each.read_text() for each in made.iterdir()}
    subprocess.run(["sh", str(made.parent / "secrets.sh")], check=True)
    assert {each.name: each.read_text() for each in made.iterdir()} == before
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for name in before.keys() - {".gitignore"}:
        assert stat.S_IMODE((made / name).stat().st_mode) == 0o444
