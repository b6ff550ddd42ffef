"""What a server listens on, one process or several, and what it says when it can't."""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from commands.listening import CannotListen, bind_sockets, listeners, open_sockets, place
from settings import BadSetting, read_settings
from tests.program import KEY, ROOT, Client, Program, wait_for


def settings_of(host, port=0):
    return read_settings({"HOST": host, "PORT": str(port)})


@contextlib.contextmanager
def listening(host):
    sockets = open_sockets(settings_of(host))
    try:
        yield sockets
    finally:
        for each in sockets:
            each.close()


@pytest.mark.parametrize("host", ["::", "[::]"])
def test_every_address_means_those_of_ipv4_too(host):
    """Clients of IPv4 come as ::ffff:127.0.0.1; store/addresses.py has that as 127.0.0.1."""
    with listening(host) as [listener]:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, port), 5):
                listener.setblocking(True)
                accepted, who = listener.accept()
                accepted.close()
                assert who[0] in ("::1", "::ffff:127.0.0.1")


@pytest.mark.parametrize(
    ("host", "families"),
    [
        ("127.0.0.1", {socket.AF_INET}),
        ("0.0.0.0", {socket.AF_INET}),  # noqa: S104
        ("::1", {socket.AF_INET6}),
        ("[::1]", {socket.AF_INET6}),
        ("::ffff:127.0.0.1", {socket.AF_INET6}),
    ],
)
def test_one_address_is_one_socket(host, families):
    with listening(host) as sockets:
        assert {each.family for each in sockets} == families
        assert len({each.getsockname()[1] for each in sockets}) == 1


def test_a_name_is_every_address_that_it_has_on_one_port():
    with listening("localhost") as sockets:
        assert len({each.getsockname()[1] for each in sockets}) == 1
        assert sockets[0].getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("192.0.2.7", "HOST is not an address of this machine"),
        ("2001:db8::7", "HOST is not an address of this machine"),
        ("nobody.invalid", "HOST is a name without an address"),
    ],
)
def test_why_it_can_not_listen(host, reason):
    with pytest.raises(CannotListen, match=reason) as caught:
        bind_sockets(*listeners(settings_of(host)))
    assert not caught.value.in_use
    assert "\n" not in str(caught.value)


def test_a_port_that_is_in_use():
    with listening("127.0.0.1") as [listener]:
        settings = settings_of("127.0.0.1", listener.getsockname()[1])
        with pytest.raises(CannotListen, match="already in use") as caught:
            bind_sockets(*listeners(settings))
        assert caught.value.in_use
    assert place(*listeners(settings_of("[::1]", 80))) == "[::1]:80"
    with pytest.raises(BadSetting):
        settings_of("[127.0.0.1")


def test_help_works_under_a_bad_setting():
    ran = subprocess.run(
        [sys.executable, "server.py", "--help"],
        check=False,
        cwd=ROOT,
        env={"PORT": "eighty", "DIALECTS": "nobody"},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "usage: server.py" in ran.stdout


def test_a_server_whose_output_nobody_reads_goes_on(stores, clean):
    """As with `python server.py | head`. It warns of secrets that every user may read."""
    with tempfile.TemporaryDirectory(prefix="lk-") as directory, socket.socket() as free:
        Path(directory).chmod(0o755)
        keys = Path(directory, "keys")
        keys.write_text(KEY)
        keys.chmod(0o644)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        urls = {"DATABASE_URL": stores[0], "REDIS_URL": stores[1], "SECRET_KEYS_FILE": str(keys)}
        with Program(**urls, PORT=str(port), output=subprocess.PIPE) as server:
            server.process.stdout.close()

            def answers():
                with contextlib.suppress(OSError), contextlib.closing(Client(port)) as client:
                    client.send("GET", "/healthz")
                    return client.receive().status == 200

            assert wait_for(answers)
            warning = "every user of this machine can read the secrets"
            assert wait_for(lambda: warning in server.err)
            server.process.send_signal(signal.SIGINT)
            assert server.wait() == 0
            assert "Traceback" not in server.err
            assert "cannot listen" not in server.err
