"""Settings: their defaults, and one line for each that can't be used."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from handlers.dialect import NoOptions
from handlers.mounts import Mount
from settings import BadSetting, Settings, read_settings

ROOT = Path(__file__).parent.parent
KEY = "0123456789abcdef0123456789abcdef"


def test_an_empty_environment_gives_the_defaults():
    assert read_settings({}) == Settings()
    assert read_settings({"UNKNOWN": "x", "PATH": "/bin"}) == Settings()


def test_blank_is_as_good_as_unset():
    assert read_settings({each.name.upper(): " " for each in fields(Settings)}) == Settings()


def test_defaults_that_the_contract_names():
    settings = Settings()
    assert settings.session_lifetime == 14 * 24 * 3600
    assert settings.access_token_lifetime == 15 * 60
    assert settings.refresh_token_lifetime == 30 * 24 * 3600
    assert settings.sessions_per_account == 100
    assert settings.bcrypt_rounds == 12
    assert settings.store_timeout == 0.8
    assert settings.password_wait == 5
    assert settings.keepalive_timeout == 75
    assert settings.body_timeout == 10
    assert settings.cors_origins == ("*",)
    assert settings.database_url == settings.redis_url == settings.public_url == ""


def test_each_setting_is_read():
    given = {
        "PORT": "9000",
        "HOST": "::1",
        "STORE_TIMEOUT": "0.5",
        "LOG_FORMAT": "json",
        "CORS_ORIGINS": "https://app.example http://localhost:3000",
        "PUBLIC_URL": "https://accounts.example/",
        "DIALECTS": "lumotist=/v1",
        "SECRET_KEYS": f"{KEY}, {KEY}x",
        "REDIS_URL": "redis://:password@localhost:6379/1",
        "DATABASE_URL": "postgresql://user:password@localhost/accounts",
    }
    settings = read_settings(given)
    assert (settings.port, settings.host, settings.store_timeout) == (9000, "::1", 0.5)
    assert settings.log_format == "json"
    assert settings.cors_origins == ("https://app.example", "http://localhost:3000")
    assert settings.public_url == "https://accounts.example"
    assert settings.dialects == {"lumotist": Mount("/v1", NoOptions())}
    assert settings.secret_keys == (KEY, f"{KEY}x")
    assert settings.redis_url == given["REDIS_URL"]
    assert settings.database_url == given["DATABASE_URL"]


BAD = [
    ("PORT", "eighty", "0 to 65535"),
    ("PORT", "70000", "0 to 65535"),
    ("PORT", "-1", "0 to 65535"),
    ("PORT", "80.5", "0 to 65535"),
    ("PORT", "80\n81", "0 to 65535"),
    ("BCRYPT_ROUNDS", "3", "4 to 16"),
    ("SESSIONS_PER_ACCOUNT", "0", "10 to 1000"),
    ("STORE_TIMEOUT", "soon", "0.05 to 60"),
    ("STORE_TIMEOUT", "0", "0.05 to 60"),
    ("STORE_TIMEOUT", "nan", "0.05 to 60"),
    ("BODY_TIMEOUT", "inf", "0.1 to 3600"),
    ("LOG_FORMAT", "xml", "text or json"),
    ("LOG_FORMAT", "JSON\nx", "text or json"),
    ("DIALECTS", "nobody=/", "lumotist"),
    ("DIALECTS", "lumotist", "name=/prefix"),
    ("DIALECTS", "lumotist=v1", "name=/prefix"),
    ("CORS_ORIGINS", "app.example", "origins"),
    ("CORS_ORIGINS", "https://app.example/path", "origins"),
    ("CORS_ORIGINS", "* https://app.example", "origins"),
    ("PUBLIC_URL", "accounts.example", "URL"),
    ("RATE_LIMITS", "no", "on or off"),
    ("LOGIN_LIMIT", "20", "20 per 5 minutes"),
    ("LOGIN_LIMIT", "20 per fortnight", "20 per 5 minutes"),
    ("ADDRESS_LIMIT", "0 per hour", "20 per 5 minutes"),
    ("REGISTER_LIMIT", "1/second; 5/minute", "20 per 5 minutes"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), BAD)
def test_a_bad_value_gives_one_line(name, value, allowed):
    with pytest.raises(BadSetting) as caught:
        read_settings({"SECRET_KEYS": KEY, name: value})
    [line] = str(caught.value).splitlines()
    assert name in line
    assert repr(value).strip("'") in line
    assert allowed in line


@pytest.mark.parametrize("value", ["localhost:6379", "http://localhost", "redis:/localhost"])
def test_redis_urls_have_one_of_its_schemes(value):
    """Whether the value is shown is left open: it may hold a password."""
    with pytest.raises(BadSetting, match="REDIS_URL") as caught:
        read_settings({"SECRET_KEYS": KEY, "REDIS_URL": value})
    [line] = str(caught.value).splitlines()
    assert "redis://" in line
    assert "unix://" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEYS", "hunter2"),
        ("SECRET_KEYS", KEY[1:] + ",hunter2"),
        ("SECRET_KEYS", f"{KEY} hunter2"),
        ("SECRET_KEYS", ","),
        ("REDIS_URL", "http://:hunter2@localhost"),
    ],
)
def test_a_secret_is_never_shown(name, value):
    with pytest.raises(BadSetting) as caught:
        read_settings({"SECRET_KEYS": KEY} | {name: value})
    [line] = str(caught.value).splitlines()
    assert name in line
    assert "hunter2" not in line
    assert KEY[1:] not in line


@pytest.mark.parametrize("length", [1, 31, 32])
def test_keys_are_32_bytes_or_more(length):
    if length == 32:
        assert read_settings({"SECRET_KEYS": "é" * 16}).secret_keys == ("é" * 16,)
        return
    with pytest.raises(BadSetting, match="32 bytes"):
        read_settings({"SECRET_KEYS": "k" * length})


def test_redis_url_needs_secret_keys():
    with pytest.raises(BadSetting) as caught:
        read_settings({"REDIS_URL": "redis://localhost"})
    [line] = str(caught.value).splitlines()
    assert "SECRET_KEYS" in line
    assert "REDIS_URL" in line
    assert read_settings({"DATABASE_URL": "postgresql://localhost/x"}).secret_keys == ()


def test_a_secret_may_be_in_a_file(tmp_path):
    """As containers and their orchestrators hand secrets over, a line's end behind them."""
    given = {"SECRET_KEYS": f"{KEY}\n{KEY}x\n", "REDIS_URL": "redis://:hunter2@localhost\n"}
    for name, text in given.items():
        (tmp_path / name).write_text(text)
    settings = read_settings({f"{name}_FILE": str(tmp_path / name) for name in given})
    assert settings.secret_keys == (KEY, f"{KEY}x")
    assert settings.redis_url == "redis://:hunter2@localhost"


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), (b"\xff\xfe", "no text"), (b"hunter2", "32 bytes")],
    ids=["no file", "no text", "too short"],
)
def test_a_file_that_holds_no_secret_is_told(tmp_path, content, why):
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSetting, match=why) as caught:
        read_settings({"SECRET_KEYS_FILE": str(file)})
    [line] = str(caught.value).splitlines()
    assert "SECRET_KEYS" in line
    assert "hunter2" not in line


def test_a_secret_is_given_once(tmp_path):
    (tmp_path / "keys").write_text(KEY)
    both = {"SECRET_KEYS": KEY, "SECRET_KEYS_FILE": str(tmp_path / "keys")}
    with pytest.raises(BadSetting, match="both set"):
        read_settings(both)


def test_only_secrets_are_read_from_files(tmp_path):
    (tmp_path / "port").write_text("9000")
    assert read_settings({"PORT_FILE": str(tmp_path / "port")}) == Settings()


def run_server(directory, **environment):
    """Run the program; it must not get as far as starting anything."""
    return subprocess.run(
        [sys.executable, ROOT / "server.py"],
        cwd=directory,
        env={**os.environ, "PORT": "0", "DATA_DIR": str(directory / "data"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"PORT": "eighty"}, "PORT is 'eighty'"),
        ({"SECRET_KEYS": "hunter2"}, "SECRET_KEYS"),
        ({"REDIS_URL": "redis://:hunter2@localhost"}, "SECRET_KEYS"),
        ({"REDIS_URL": "http://:hunter2@localhost", "SECRET_KEYS": KEY}, "REDIS_URL"),
    ],
    ids=["a bad port", "a short key", "no key", "no Redis URL"],
)
def test_the_program_says_it_in_one_line_and_stops(tmp_path, environment, shown):
    done = run_server(tmp_path, **environment)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("latchkey: ")
    assert shown in line
    assert "hunter2" not in line
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("url", ["postgresql//user:hunter2@localhost/x", "user:hunter2@localhost"])
def test_a_database_url_that_is_none_is_not_shown(tmp_path, url):
    """What libpq can't read it quotes, and that holds the password."""
    environment = {"DATABASE_URL": url, "REDIS_URL": "redis://localhost", "SECRET_KEYS": KEY}
    done = run_server(tmp_path, START_TIMEOUT="0", **environment)
    assert done.returncode != 0
    [line] = done.stderr.splitlines()
    assert line.startswith("latchkey: ")
    assert "hunter2" not in line + done.stdout
