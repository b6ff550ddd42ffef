"""The files for Kubernetes: valid by its own schemas, and in agreement with the server."""

import configparser
import re
import shutil
import subprocess
from ipaddress import ip_address
from itertools import product
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from aiohttp.test_utils import TestClient

from commands.serving import SHUTDOWN_SECONDS
from settings import Settings, read_settings, setting_fields
from tests.program import Program

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
HERE = DEPLOY / "kubernetes"
KUSTOMIZATION = yaml.safe_load((HERE / "kustomization.yaml").read_text())
FILES = sorted({*HERE.rglob("*.yaml")} - {HERE / "kustomization.yaml"})
OBJECTS: dict[Path, Any] = {file: yaml.safe_load(file.read_text()) for file in FILES}

VERSIONS = ("1.30", "1.37")
"""The oldest Kubernetes that the files are held to, and the latest known."""

SECRETS = {
    "SECRET_KEYS": "a-key-for-the-tests-long-enough-for-one",
    "DATABASE_URL": "postgresql://postgresql/latchkey",
    "REDIS_URL": "redis://redis/0",
}
GUNICORN_SECONDS = 5
"""What WORKERS over 1 may take besides."""
HICCUP = 10
"""Seconds that a failover takes, in which pods must not be called unready."""


def of_kind(kind: str) -> Any:
    [found] = [each for each in OBJECTS.values() if each["kind"] == kind]
    return found


DEPLOYMENT, JOB = of_kind("Deployment")["spec"], of_kind("Job")["spec"]
PODS = {"Deployment": DEPLOYMENT["template"], "Job": JOB["template"]}
POD = PODS["Deployment"]["spec"]
[CONTAINER] = POD["containers"]
LABELS = PODS["Deployment"]["metadata"]["labels"]
GIVEN: dict[str, str] = of_kind("ConfigMap")["data"]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")

each_pod = pytest.mark.parametrize("pod", [each["spec"] for each in PODS.values()], ids=PODS)


def read(given: dict[str, str], pod: Any, directory: Path) -> Settings:
    """Return the settings that a pod's container gets, its Secret mounted in a directory."""
    [container] = pod["containers"]
    for mount, volume in product(container["volumeMounts"], pod["volumes"]):
        if mount["name"] == volume["name"] and "secret" in volume:
            inside = directory / mount["mountPath"].lstrip("/")
            inside.mkdir(parents=True)
            for item in volume["secret"]["items"]:
                (inside / item["path"]).write_text(SECRETS[item["key"]])
    own = {each["name"]: f"{directory}{each['value']}" for each in container["env"]}
    return read_settings({**given, **own})


@pytest.fixture
def deployed(tmp_path: Path) -> Settings:
    return read(GIVEN, POD, tmp_path)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_file_is_what_kubernetes_takes(file: Path, version: str):
    kubernetes_validate.validate(OBJECTS[file], version, strict=True)


def test_kustomize_takes_everything_but_what_is_run_by_hand():
    listed = {HERE / name for name in KUSTOMIZATION["resources"]}
    assert listed == {file for file in FILES if file.parent == HERE}


def test_what_kustomize_builds_is_what_kubernetes_takes():
    """With the very names and image that kustomization.yaml gives."""
    if not shutil.which("kubectl"):
        pytest.skip("kubectl is not installed")
    done = subprocess.run(["kubectl", "kustomize", HERE], check=True, capture_output=True)
    built = list(yaml.safe_load_all(done.stdout))
    assert len(built) == len(KUSTOMIZATION["resources"])
    for each in built:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
        assert KUSTOMIZATION["namespace"] in (
            each["metadata"].get("namespace"),
            each["metadata"]["name"],
        )
    [image] = KUSTOMIZATION["images"]
    assert f"image: {image['newName']}:{image['newTag']}\n" in done.stdout.decode()


def test_the_namespace_is_one():
    assert of_kind("Namespace")["metadata"]["name"] == KUSTOMIZATION["namespace"]
    assert of_kind("Job")["metadata"]["namespace"] == KUSTOMIZATION["namespace"]


def test_the_image_is_one():
    [image] = KUSTOMIZATION["images"]
    assert CONTAINER["image"].split(":")[0] == image["name"]
    [job] = JOB["template"]["spec"]["containers"]
    assert job["image"] == f"{image['newName']}:{image['newTag']}"


@each_pod
def test_what_is_set_are_settings(pod: Any, tmp_path: Path):
    known = {each.name.upper() for each in setting_fields()}
    assert GIVEN.keys() <= known
    found = read(GIVEN, pod, tmp_path)
    assert found.secret_keys == (SECRETS["SECRET_KEYS"],)
    assert (found.database_url, found.redis_url) == (SECRETS["DATABASE_URL"], SECRETS["REDIS_URL"])


@each_pod
def test_the_settings_are_those_of_the_config_map(pod: Any):
    [container] = pod["containers"]
    assert container["envFrom"] == [{"configMapRef": {"name": "latchkey"}}]
    assert of_kind("ConfigMap")["metadata"]["name"] == "latchkey"


def test_clients_are_told_apart(deployed: Settings):
    assert deployed.trusted_proxies


def test_the_secret_is_made_as_it_is_mounted():
    """docs/scaling.md has the command that makes it."""
    text = (ROOT / "docs/scaling.md").read_text()
    [command] = re.findall(r"kubectl [^`]*create secret generic latchkey(?:.*\\\n)*.*", text)
    assert set(re.findall(r"--from-\w+=(\w+)=", command)) == SECRETS.keys()


def test_ports_are_the_servers(deployed: Settings):
    assert ip_address(deployed.host).is_unspecified
    assert ip_address(deployed.internal_host).is_unspecified
    ports = {each["name"]: each["containerPort"] for each in CONTAINER["ports"]}
    assert ports == {"http": deployed.port, "internal": deployed.internal_port}
    probes = {probe: CONTAINER[probe]["httpGet"]["port"] for probe in PROBES}
    internal = {"readinessProbe": "internal"}
    assert probes == {"startupProbe": "http", "livenessProbe": "http", **internal}
    service = {each["name"]: each for each in of_kind("Service")["spec"]["ports"]}
    assert {name: each["targetPort"] for name, each in service.items()} == {n: n for n in ports}
    assert service["internal"]["port"] == deployed.internal_port
    scraped = PODS["Deployment"]["metadata"]["annotations"]
    assert scraped["prometheus.io/port"] == str(deployed.internal_port)


def test_the_ingress_does_not_reach_the_internal_port():
    for rule in of_kind("NetworkPolicy")["spec"]["ingress"]:
        who = [each["namespaceSelector"].get("matchLabels") for each in rule["from"]]
        is_ingress = who == [{"kubernetes.io/metadata.name": "ingress-nginx"}]
        assert rule["ports"] == [{"port": "http" if is_ingress else "internal"}]


async def test_what_is_asked_is_answered(client: TestClient):
    scraped = PODS["Deployment"]["metadata"]["annotations"]["prometheus.io/path"]
    for path in [*(CONTAINER[probe]["httpGet"]["path"] for probe in PROBES), scraped]:
        async with client.get(path) as answer:
            assert answer.status == 200, path


def test_only_readiness_depends_on_the_stores():
    asked = {probe: CONTAINER[probe]["httpGet"]["path"] for probe in PROBES}
    assert asked["livenessProbe"] == asked["startupProbe"] == "/healthz"
    assert asked["readinessProbe"] == "/readyz"


def test_a_start_may_take_as_long_as_it_does(deployed: Settings):
    probe = CONTAINER["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] > 2 * deployed.start_timeout


def test_readiness_outlasts_slow_stores_and_failovers(deployed: Settings):
    probe = CONTAINER["readinessProbe"]
    assert probe["timeoutSeconds"] > 2 * deployed.store_timeout
    assert probe["periodSeconds"] * (probe["failureThreshold"] - 1) >= HICCUP


def test_a_pod_may_finish_before_it_is_killed(deployed: Settings):
    """It answers while it drains, so that needs no preStop; proxies take some seconds to notice."""
    ends = deployed.drain_seconds + SHUTDOWN_SECONDS + GUNICORN_SECONDS
    assert POD["terminationGracePeriodSeconds"] >= ends
    assert deployed.drain_seconds >= 10


def test_a_rollout_takes_no_pod_before_there_is_another():
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert "replicas" not in DEPLOYMENT


def test_what_is_selected_are_the_servers():
    spread = POD["topologySpreadConstraints"]
    selectors = [each["labelSelector"]["matchLabels"] for each in spread]
    selectors += [
        DEPLOYMENT["selector"]["matchLabels"],
        of_kind("Service")["spec"]["selector"],
        of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector and selector.items() <= LABELS.items() for selector in selectors)
    target = of_kind("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    deployment = of_kind("Deployment")
    assert target == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }


def test_no_request_is_sent_to_the_job():
    selector = of_kind("Service")["spec"]["selector"]
    assert not selector.items() <= PODS["Job"]["metadata"]["labels"].items()


@each_pod
def test_a_pod_may_do_nothing_that_it_need_not(pod: Any):
    [container] = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@each_pod
def test_a_pod_runs_as_the_images_user_who_can_read_the_secrets(pod: Any):
    user = pod["securityContext"]
    assert user["runAsUser"] == user["runAsGroup"] == user["fsGroup"]
    [secret] = [each["secret"] for each in pod["volumes"] if "secret" in each]
    assert secret["defaultMode"] == 0o440
    built = re.findall(r"^USER (\d+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert built[-1] == str(user["runAsUser"])


def test_pgbouncer_takes_all_pods_there_can_be(deployed: Settings):
    limits = configparser.ConfigParser()
    limits.read(DEPLOY / "pgbouncer.ini")
    pods = of_kind("HorizontalPodAutoscaler")["spec"]["maxReplicas"]
    pods += DEPLOYMENT["strategy"]["rollingUpdate"]["maxSurge"]
    most = pods * deployed.workers * deployed.database_pool
    assert most <= int(limits["pgbouncer"]["max_client_conn"])


@pytest.mark.slow
def test_the_jobs_command_is_one():
    [container] = JOB["template"]["spec"]["containers"]
    options = {word for word in container["args"] if word.startswith("--")}
    command = [word for word in container["args"] if word not in options]
    with Program(*command, "--help") as help:
        assert help.wait() == 0, help.err
        assert options <= set(re.findall(r"--\w+", help.out))
    assert 'ENTRYPOINT ["python", "server.py"]' in (ROOT / "Dockerfile").read_text()
