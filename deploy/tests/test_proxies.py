"""HAProxy, nginx and Caddy with the files of deploy/, in front of two real servers, with TLS."""

import base64
import io
import json
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from deploy.tests.proxies import INSTALLED, KINDS, PREFIX, PREFIX_HOST, Proxy, proxied
from tests.program import Program, registration, wait_for

JSON = {"Content-Type": "application/json"}
INTERNAL = (
    "/metrics",
    "/metrics/",
    "/metrics?x=1",
    "//metrics",
    "/METRICS",
    "/%6detrics",
    "/x/../metrics",
    "/%zz/../metrics",
    "/./metrics",
    "/internal/introspect",
    "//internal/introspect",
    "/%69nternal/introspect",
    "/INTERNAL/introspect",
    "/x/../internal/introspect",
    "/readyz",
)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    if INSTALLED[request.param] is None:
        pytest.skip(f"{request.param} is not installed")
    return str(request.param)


@pytest.fixture(scope="module")
def proxy(kind: str, stores: tuple[str, str]) -> Iterator[Proxy]:
    limits = {"RATE_LIMITS": "on", "REGISTER_LIMIT": "2 per hour"}
    with proxied(kind, stores, **limits) as proxy:
        yield proxy


def register(proxy: Proxy, name: str, source: str, **headers: str) -> tuple[int, str]:
    body = json.dumps(registration(name)).encode()
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    status, answer = proxy.ask("POST", "/account/register", body, {**JSON, **found}, source=source)
    return status, json.loads(answer).get("token", "")


def test_the_clients_address_arrives_and_cannot_be_forged(proxy: Proxy, kind: str):
    """Registrations are counted by address: each client's own, whatever it claims."""
    forged = {"X_Forwarded_For": "198.51.100.7", "Forwarded": "for=198.51.100.8"}
    assert register(proxy, f"{kind}1", "127.0.0.5")[0] == 200
    assert register(proxy, f"{kind}2", "127.0.0.5", **forged)[0] == 200
    assert register(proxy, f"{kind}3", "127.0.0.5", **forged, X_Real_IP="198.51.100.9")[0] == 429
    assert register(proxy, f"{kind}4", "127.0.0.6")[0] == 200


def test_urls_of_pictures_are_those_that_the_client_can_reach(proxy: Proxy, kind: str):
    token = register(proxy, f"{kind}5", "127.0.0.7")[1]
    forged = {"X-Forwarded-Host": "evil.example", "Authorization": f"Token {token}"}
    _, body = proxy.ask("GET", "/account/get_pictures", headers=forged)
    url = json.loads(body)["male"][0]["picture"]
    base = f"https://accounts.example.com:{proxy.port}"
    assert url.startswith(f"{base}/pictures/")
    assert proxy.ask("GET", url.removeprefix(base))[0] == 200


def test_the_largest_picture_is_let_through(proxy: Proxy, kind: str):
    """As base64 in JSON, 5 MiB of picture are 7 MB of body."""
    token = register(proxy, f"{kind}6", "127.0.0.8")[1]
    large = Image.effect_noise((2200, 2200), 90)
    with io.BytesIO() as file:
        large.save(file, "PNG", compress_level=0)
        content = file.getvalue()
    assert 4_800_000 < len(content) < 5 * 1024 * 1024
    body = json.dumps({"picture": base64.b64encode(content).decode()}).encode()
    headers = {**JSON, "Authorization": f"Token {token}"}
    assert proxy.ask("POST", "/account/set_picture", body, headers) == (200, b'{"success":true}')


@pytest.mark.parametrize("path", INTERNAL)
def test_what_is_internal_is_refused_from_outside(proxy: Proxy, path: str):
    with_no_client = proxy.connect()
    with_no_client.putrequest("GET", path, skip_host=False)
    with_no_client.endheaders()
    response = with_no_client.getresponse()
    content = response.read()
    with_no_client.close()
    assert response.status in (400, 403, 404)
    assert b"latchkey_" not in content
    assert b"postgresql" not in content


def test_browsers_are_told_to_stay_with_tls(proxy: Proxy):
    connection = proxy.connect()
    connection.request("GET", "/healthz")
    response = connection.getresponse()
    response.read()
    connection.close()
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_below_a_path_prefix(kind: str, stores: tuple[str, str], clean: None):
    """The proxy removes the prefix; PUBLIC_URL puts it into the URLs of pictures."""
    public = f"https://{PREFIX_HOST}{PREFIX}"
    with proxied(kind, stores, prefixed=True, PUBLIC_URL=public) as proxy:
        body = json.dumps(registration("prefixed")).encode()
        path = f"{PREFIX}/account/register"
        status, answer = proxy.ask("POST", path, body, JSON, PREFIX_HOST)
        assert status == 200
        headers = {"Authorization": f"Token {json.loads(answer)['token']}"}
        path = f"{PREFIX}/account/get_pictures"
        _, answer = proxy.ask("GET", path, None, headers, PREFIX_HOST)
        url = json.loads(answer)["female"][0]["picture"]
        assert url.startswith(f"{public}/pictures/")
        path = url.removeprefix(f"https://{PREFIX_HOST}")
        assert proxy.ask("GET", path, host=PREFIX_HOST)[0] == 200
        assert proxy.ask("GET", f"{PREFIX}/docs", host=PREFIX_HOST)[0] == 200
        assert proxy.ask("GET", "/account/profile", host=PREFIX_HOST)[0] == 404


def test_a_rolling_restart_loses_no_request(kind: str, stores: tuple[str, str], clean: None):
    """SIGTERM to one server after the other under load, registrations among it."""
    with proxied(kind, stores) as proxy:
        statuses: list[object] = []
        enough = threading.Event()

        def write(number: int) -> None:
            count = 0
            while not enough.is_set():
                count += 1
                body = json.dumps(registration(f"writer{number}x{count}")).encode()
                try:
                    statuses.append(proxy.ask("POST", "/account/register", body, JSON)[0])
                except OSError as error:
                    statuses.append(error)

        writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for each in writers:
            each.start()
        try:
            for place, port in enumerate(proxy.ports):
                restart(proxy, place, port)
        finally:
            enough.set()
            for each in writers:
                each.join()
        assert [status for status in statuses if status != 200] == []
        assert len(statuses) > 50


def restart(proxy: Proxy, place: int, port: int) -> None:
    """Replace a server, and wait until the new one is asked."""
    proxy.servers[place].process.send_signal(signal.SIGTERM)
    assert proxy.servers[place].wait() == 0
    start: Callable[[int], Program] = proxy.restart  # type: ignore[assignment]
    proxy.servers[place] = start(port)
    assert wait_for(lambda: proxy.servers[place].err.count("POST /account/register") > 5)
