"""Settings: their defaults, and one line for each that can't be used."""

import json
import os
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

import server
from handlers.mounts import Mount
from handlers.routes import NoOptions
from settings import BadSetting, Settings, read_settings, setting_fields
from store.identity import Provider

ROOT = Path(__file__).parent.parent
KEY = "0123456789abcdef0123456789abcdef"


def test_the_processes_that_decode_pictures_get_no_secret():
    given = {"PATH": "/bin", "PYTHONPATH": "/app", "HOME": "/root", "SECRET_KEYS": "0123456789" * 4}
    assert read_settings(given).decoder_environment == {"PATH": "/bin", "PYTHONPATH": "/app"}


def test_an_empty_environment_gives_the_defaults():
    assert read_settings({}) == Settings()
    assert read_settings({"UNKNOWN": "x", "PATH": "/bin"}) == Settings()


def test_blank_is_as_good_as_unset():
    assert read_settings({each.name.upper(): " " for each in setting_fields()}) == Settings()


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


BAD = {
    "HOST": ["a b", "*", "[::1", "::1]", "::g", "127.0.0.1:8000", "http://a", "a..b", "x" * 300],
    "INTERNAL_HOST": ["a b", "*", "http://a"],
    "INTERNAL_PORT": ["0", "70000", "none"],
    "PORT": ["eighty", "70000", "-1", "80.5", "80\n81", "٨٠", "8_0", "+80", "0x50"],
    "WORKERS": ["0", "1025", "many", "1e2"],
    "DATA_DIR": ["a\0b", "a\nb", "\x1b[2J"],
    "DIALECTS": [
        "nobody=/",
        "lumotist",
        "lumotist=v1",
        "lumotist=/ lumotist=/v1",
        "lumotist=/a//b",
        "lumotist=/a/../b",
        "lumotist=/é",
    ],
    "CORS_ORIGINS": [
        "app.example",
        "https://app.example/path",
        "* https://app.example",
        "https://*.app.example",
        "https://me@app.example",
        "https://app.example?x",
        "https://app.example:99999",
        "https://app.example:",
        "https://[::g]",
        "null",
    ],
    "TRUSTED_PROXIES": [
        "proxy",
        "10.0.0.0/33",
        "0.0.0.0/0",
        "::/0",
        "::ffff:0:0/96",
    ],
    "METRICS_ALLOW": ["everybody", "10.0.0.256", "::1/129"],
    "PUBLIC_URL": [
        "accounts.example",
        "ftp://accounts.example",
        "https://",
        "https:///path",
        "https://accounts.example?x=1",
        "https://accounts.example#top",
        "https://me:hidden@accounts.example",
        "https://accounts.example:99999",
        "https://accounts.example/a b",
        "https://accounts.example/\\x",
    ],
    "PRODUCT_NAME": ["a\nb", "a\x1b", "x" * 61],
    "MAIL_FROM": [
        "me",
        "me@",
        "Me <me@example.com",
        "me@example.com\nBcc: you@example.com",
        "a@example.com, b@example.com",
        "m\u00efka@example.com",
    ],
    "MAIL_TEMPLATES": ["a\nb"],
    "MAIL_LANGUAGE": ["../en", "e", "en/", "english-", "e n"],
    "VERIFY_URL": [
        "https://app.example/verify",
        "https://app.example/#{token}{token}",
        "https://app.example/#{token}{other}",
        "https://app.example/{token}",
        "https://app.example/?token={token}#x",
        "https://{token}.example/#",
        "https:///#{token}",
        "javascript:alert('{token}')",
        "data:text/html,{token}",
        "app.example/#{token}",
        "https://app.example/ #{token}",
        'https://app.example/"#{token}',
        "myapp://{token}",
    ],
    "RESET_URL": ["https://app.example/reset?token={token}"],
    "VERIFY_LINK_LIFETIME": ["59", "2592001"],
    "RESET_LINK_LIFETIME": ["59", "86401", "1h"],
    "DEVICE_NOTICES": ["yes"],
    "EVENTS": ["yes"],
    "EVENT_DAYS": ["0", "3651", "a month"],
    "REQUIRE_VERIFIED_EMAIL": ["yes", "1"],
    "PICTURE_MAX_BYTES": ["1023", "268435457", "5M"],
    "PICTURE_MAX_PIXELS": ["4095", "500000001", "5000x5000"],
    "PICTURE_TIMEOUT": ["0", "3601", "1 s", "1e1"],
    "SESSION_LIFETIME": ["0", "14d", "315360001"],
    "ACCESS_TOKEN_LIFETIME": ["0", "15 minutes", "315360001"],
    "REFRESH_TOKEN_LIFETIME": ["0", "-3600", "315360001"],
    "IMPORTED_TOKENS": ["yes", "true", "ON"],
    "SESSIONS_PER_ACCOUNT": ["0", "9", "1001"],
    "RATE_LIMITS": ["no", "0"],
    "LOGIN_LIMIT": ["20", "20 per fortnight", "20 per 0 minutes", "20 per 1000000 years"],
    "ADDRESS_LIMIT": ["0 per hour", "٣ per hour", "1 per hour or so", "9" * 30 + " per hour"],
    "REGISTER_LIMIT": ["1/second; 5/minute", "-1 per hour"],
    "OIDC_PROVIDERS": [
        "google",
        "google=",
        "=https://accounts.google.com?client_id=x",
        "Google=https://accounts.google.com?client_id=x",
        "google=https://accounts.google.com",
        "google=https://accounts.google.com?",
        "google=https://accounts.google.com?client_id=",
        "google=https://accounts.google.com?client_id=x&client_id=x",
        "google=https://accounts.google.com?client_id=x&secret=y",
        "google=http://accounts.google.com?client_id=x",
        "google=accounts.google.com?client_id=x",
        "google=https://?client_id=x",
        "google=https://me@accounts.google.com?client_id=x",
        "google=https://accounts.google.com:0?client_id=x",
        "google=https://accounts.google.com:99999?client_id=x",
        "google=https://accounts.google.com/#top?client_id=x",
        "google=https://a.example?client_id=x google=https://b.example?client_id=x",
        "a=https://a.example?client_id=x b=https://a.example?client_id=y",
    ],
    "PASSKEY_ORIGINS": ["app.example", "http://app.example", "android:apk-key-hash:short", "*"],
    "PASSKEY_RP_ID": ["https://app.example", "127.0.0.1", "a b"],
    "CODE_LIMIT": ["10", "0 per hour"],
    "REFRESH_LIMIT": ["1/second; 5/minute", "-1 per hour"],
    "JWT_MOVED_AT": ["now", "2026-12-01", "2026-12-01T00:00:00", "0"],
    "DIALECTS_FILE": ["/nowhere/dialects.toml", "settings.py", "a\0b"],
    "ACCOUNT_PAGE": ["yes", "ON"],
    "UI_LOGO": ["/nowhere/logo.svg", "logo.gif", "settings.py"],
    "UI_ACCENT": ["blue", "#fff", "#ffcc00", "#1f5fb٣"],
    "UI_LINKS": [
        "Imprint",
        "Help javascript:alert(1)",
        "Help /help",
        "|",
        "A\nB https://a.example",
    ],
    "MAIL_LIMIT": ["5", "0 per hour"],
    "PASSWORD_RULES": ["digits", "length=0", "length", "common common", "length=8,common"],
    "BREACHED_PASSWORDS": ["api.example", "ftp://api.example", "https://api.example/?a=b"],
    "BCRYPT_ROUNDS": ["3", "17", "99"],
    "PASSWORD_WAIT": ["0", "forever"],
    "STORE_TIMEOUT": ["soon", "0", "nan", "61", "1_0"],
    "START_TIMEOUT": ["-0.1", "1e3", "3601"],
    "DATABASE_POOL": ["0", "501"],
    "REDIS_POOL": ["0", "5001"],
    "KEEPALIVE_TIMEOUT": ["0", "infinity"],
    "BODY_TIMEOUT": ["inf", "0.01"],
    "DRAIN_SECONDS": ["-1", "601"],
    "LOG_FORMAT": ["xml", "JSON\nx", "JSON"],
    "LOG_REQUESTS": ["on", "ERRORS", "all errors"],
    "TRACING": ["yes", "1"],
    "ADMIN": ["yes", "On"],
    "DOCS": ["false", "Off"],
}
"""Values that can't be used, for each setting that is not secret."""

_SECRET = "whsec_" + "hunter2+" * 4
BAD_SECRETS = {
    "JWT_SIGNING_KEYS": ["hunter2", f"own hunter2 {KEY}", "hunter2\0"],
    "SECRET_KEYS": ["hunter2", ",", f"{KEY} hunter2", "hunter2" * 5, "\ud800" * 32, f"{KEY}\0x"],
    "SERVICE_KEYS": [
        "hunter2",
        "gateway:hunter2",
        f"gateway:read:{'hunter2' * 4}",
        "gateway:read:" + "hunter2" * 5,
        f"gateway:hunter2:{KEY}",
        f"hunter2!:read:{KEY}",
        f"{KEY}:hunter2:gateway",
        f"gateway:READ:{KEY}hunter2",
        f"gateway:read:{KEY}hunter2,other:read:{KEY}",
        f"gateway:read:{KEY}hunter2é",
        f"hunter2:read:{KEY} hunter2:write:{KEY}x",
        f"hunter2:read:{KEY} other:write:{KEY}",
    ],
    "DATABASE_URL": [
        "hunter2",
        "user:hunter2@localhost",
        "postgres://latchkey:hunter2/et@127.0.0.1:5432/db",
        "postgres://latchkey:12/hunter2@127.0.0.1:5432/db",
        "postgres://latchkey:hunter2@et@127.0.0.1/db",
        "postgres://latchkey:hunter2%zz@127.0.0.1/db",
        "postgres://latchkey:hunter2@127.0.0.1:0/db",
        "postgres://latchkey:hunter2@127.0.0.1:99999/db",
        "postgres://latchkey:hunter2@a..b/db",
        "postgres://latchkey:hunter2@a/db?target_session_attrs=best",
        "postgres://latchkey:hunter2@a/db?sslmode=maybe",
        "postgres://latchkey:hunter2@a/db?keepalives_idle=x",
        "postgres://latchkey:hunter2@a/db?replication=database",
        "host=a,b port=1,2,3 password=hunter2",
        "host=a password=hunter2 host",
        "redis://:hunter2@localhost",
        "host=a password=hunter2\0x",
    ],
    "REDIS_URL": [
        "hunter2",
        "localhost:6379",
        "redis:/localhost",
        "http://:hunter2@localhost",
        "postgresql://:hunter2@localhost/x",
        "redis://:hunter2/et@localhost:6379",
        "redis://u:12/hunter2@localhost:6379",
        "redis://:hunter2#et@localhost",
        "redis://u:12?hunter2=x@localhost",
        "redis://:hunter2@localhost/abc",
        "redis://:hunter2@localhost/-1",
        "redis://:hunter2@localhost/1/2",
        "redis://:hunter2@localhost:99999",
        "redis://:hunter2@a..b",
        "redis://:hunter2@local host",
        "redis://:hunter2@localhost?decode_responses=true",
        "redis://:hunter2@localhost?socket_timeout=nan",
        "redis://:hunter2@localhost?socket_timeout=soon",
        "redis://:hunter2@localhost?ssl_ca_certs=/x",
        "redis://:hunter2@localhost?client_name",
        "redis://:hunter2@localhost?client_name=a&client_name=b",
        "rediss://:hunter2@localhost?decode_responses=true",
        "rediss://:hunter2@localhost?ssl_cert_reqs=maybe",
        "unix://",
        "unix://tmp/redis.sock?password=hunter2",
        "unix:///tmp/redis.sock?password=hunter2&decode_responses=true",
        "redis+cluster://:hunter2@a:1?decode_responses=true",
        "redis+cluster://:hunter2@a:1/1",
        "redis+cluster://:hunter2@a",
        "redis+cluster://:hunter2@a:1?ssl_certfile=/x",
        "redis+cluster://:hunter2@a:1?ssl=maybe",
        "redis+sentinel://:hunter2@a:1",
        "redis+sentinel://:hunter2@a:1/s/x",
        "redis+sentinel://:hunter2@a:1/s?decode_responses=true",
        "redis://:hunter2@localhost\0x",
    ],
    "MAIL_URL": [
        "smtp:hunter2",
        "smtp://hunter2@",
        "smtp://me@hunter2.example",
        "smtp://me:hunter2@mail.example:99999",
        "smtp://me:hunter2@mail.example:0",
        "smtp://me:hunter2@mail.example/path",
        "smtp://me:hunter2@mail.example?x=1",
        "smtp://me:hunter2@mail.example#x",
        "smtp://me:hunter2@mail example",
        "smtp://me:hunter2@-mail.example",
        "smtp://me:%ffhunter2@mail.example",
        "http://me:hunter2@mail.example",
        "file:",
        "file:a\nhunter2",
    ],
    "WEBHOOKS": [
        "hunter2",
        f"app https://hunter2.example {_SECRET} app",
        f"a:b https://hunter2.example {_SECRET}",
        f"app ftp://hunter2.example {_SECRET}",
        f"app https://user:hunter2@app.example {_SECRET}",
        f"app https://hunter2.example:x/ {_SECRET}",
        f"app https://hunter2.example/#x {_SECRET}",
        "app https://hunter2.example whsec_aHVudGVyMg==",
        "app https://app.example hunter2",
        f"app https://app.example {_SECRET},hunter2",
        f"app https://a.example {_SECRET} app https://hunter2.example {_SECRET}",
    ],
}
"""The same for secrets: none of it may be shown."""

WEIRD = [
    "\0",
    "\ud800",
    "\u202e1",
    "nan",
    "-inf",
    "1e400",
    "9" * 5000,
    "٣",
    "½",
    "%",
    "[",
    "]:",
    "{}",
    "//",
    "://",
    "a" * 100_000,
    "\x1b[31m",
    "é" * 70,
    "=",
    "/",
    "\t1\r\n2",
    "*",
]
"""Values that some settings take. None may raise anything but BadSetting."""


def test_the_admin_page_needs_its_dialect():
    with pytest.raises(BadSetting, match="ADMIN is on: DIALECTS must name latchkey"):
        read_settings({"ADMIN": "on", "DIALECTS": "kust=/"})
    assert read_settings({"ADMIN": "on", "DIALECTS": "latchkey=/api"}).admin == "on"


def test_the_table_has_every_setting():
    assert {each.name.upper() for each in setting_fields()} == BAD.keys() | BAD_SECRETS.keys()


def refusal(name, value):
    """Return the one line that a bad value gives."""
    with pytest.raises(BadSetting) as caught:
        read_settings({"SECRET_KEYS": KEY} | {name: value})
    assert caught.value.__cause__ is None
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"{name} must be ")
    assert line.isprintable()
    assert len(line) < 800
    return line


@pytest.mark.parametrize("name", BAD)
def test_a_bad_value_gives_one_line(name):
    """It names the setting, what is allowed, and the value."""
    allowed = {each.name.upper(): each.metadata["allowed"] for each in setting_fields()}[name]
    for value in BAD[name]:
        line = refusal(name, value)
        assert line.startswith(f"{name} must be {allowed} (got ")
        assert ascii(value[:80]) in line


@pytest.mark.parametrize("name", BAD_SECRETS)
def test_a_bad_secret_gives_one_line_without_it(name):
    for value in BAD_SECRETS[name]:
        line = refusal(name, value)
        assert "(its value is not shown)" in line
        assert "hunter2" not in line
        assert KEY not in line


@pytest.mark.parametrize("each", setting_fields(), ids=lambda each: each.name)
def test_no_value_gives_a_traceback(each):
    for value in WEIRD:
        try:
            read_settings({"SECRET_KEYS": KEY} | {each.name.upper(): value})
        except BadSetting as problem:
            [line] = str(problem).splitlines()
            assert line.isprintable()
            assert len(line) < 800


SAID = [
    ("REDIS_URL", "postgresql://u:p@localhost/x", "it begins with postgresql://"),
    ("DATABASE_URL", "redis://localhost", "it begins with redis://"),
    ("DATABASE_URL", "postgres://u:a/b@localhost/x", "write @ as %40, / as %2F"),
    ("REDIS_URL", "redis://:a/b@localhost", "write @ as %40, / as %2F"),
    (
        "REDIS_URL",
        "redis://localhost?decode_responses=true",
        "its option decode_responses is not allowed",
    ),
    ("SECRET_KEYS", "changeme" * 5, "fewer than 8 different characters"),
    ("TRUSTED_PROXIES", "0.0.0.0/0", "any client could name another one"),
    ("DIALECTS", "nobody=/", "the names are wicare, lumotist"),
    ("STORE_TIMEOUT", "0", "a number of seconds from 0.05 to 60"),
    ("SERVICE_KEYS", f":read:{KEY}", "entry 1 has no name"),
    ("SERVICE_KEYS", f"a:read:{KEY} b:all:{KEY}x", "entry 2 has a scope that is not introspect"),
    ("SERVICE_KEYS", "a:read:short", "entry 1 has a key of 5 bytes"),
    ("SERVICE_KEYS", "a:read:" + "ab" * 20, "fewer than 8 different characters"),
    ("SERVICE_KEYS", f"a:read:{KEY},", "other characters than A-Z a-z 0-9 ._~+/-"),
    ("SERVICE_KEYS", f"a:read:{KEY} a:read:{KEY}x", "two entries have the same name"),
    ("SERVICE_KEYS", f"a:read:{KEY} b:read:{KEY}", "two entries have the same key"),
    ("MAIL_URL", "smtp://me@mail.example", "a user needs a password"),
    ("MAIL_URL", "file:", "it names no directory"),
    ("RESET_URL", "https://app.example/{token}", "behind a #, where servers and proxies"),
    ("VERIFY_URL", "https://app.example/#token", "it must contain {token} once"),
]


@pytest.mark.parametrize(("name", "value", "said"), SAID)
def test_a_bad_value_is_explained(name, value, said):
    assert said in refusal(name, value)


NORMALIZED = [
    ("HOST", "[::1]", "::1"),
    ("HOST", "[::]", "::"),
    ("HOST", "0:0::1", "::1"),
    ("HOST", "bücher.example", "xn--bcher-kva.example"),
    ("CORS_ORIGINS", "https://App.Example/", ("https://app.example",)),
    ("CORS_ORIGINS", "HTTPS://app.example:443", ("https://app.example",)),
    ("CORS_ORIGINS", "http://a:80,http://a:8080", ("http://a", "http://a:8080")),
    ("CORS_ORIGINS", "https://bücher.example", ("https://xn--bcher-kva.example",)),
    ("CORS_ORIGINS", "http://[0:0::1]:3000", ("http://[::1]:3000",)),
    ("CORS_ORIGINS", "capacitor://localhost", ("capacitor://localhost",)),
    ("PUBLIC_URL", "HTTPS://Accounts.Example/v1/", "https://accounts.example/v1"),
    ("PUBLIC_URL", "https://bücher.example:443/ä", "https://xn--bcher-kva.example/%C3%A4"),
    ("TRUSTED_PROXIES", "10.1.2.3/8", (ip_network("10.0.0.0/8"),)),
    ("TRUSTED_PROXIES", "::ffff:10.0.0.0/104", (ip_network("10.0.0.0/8"),)),
    ("METRICS_ALLOW", "::ffff:192.0.2.7", (ip_network("192.0.2.7"),)),
]
"""Values that no request would ever match as they are."""


@pytest.mark.parametrize(("name", "value", "used"), NORMALIZED)
def test_a_value_is_used_as_requests_have_it(name, value, used):
    assert getattr(read_settings({name: value}), name.lower()) == used


@pytest.mark.parametrize("length", [1, 31, 32])
def test_keys_are_32_bytes_or_more(length):
    if length == 32:
        assert read_settings({"SECRET_KEYS": KEY[:30] + "é"}).secret_keys == (KEY[:30] + "é",)
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
    [
        (None, "No such file or directory"),
        (b"\xff\xfe", "not text"),
        (b"hunter2", "32 bytes"),
        (b" \n", "it is empty"),
    ],
    ids=["no file", "no text", "too short", "empty"],
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


@pytest.fixture
def run_server(tmp_path, monkeypatch, capsys):
    """Run the server in this process; it must not get as far as starting anything."""

    def run(**environment):
        for name, value in {"DATA_DIR": str(tmp_path / "data"), **environment}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["server.py"])
        return server.main(), *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"PORT": "eighty"}, "PORT must be a whole number"),
        ({"SECRET_KEYS": "hunter2"}, "SECRET_KEYS"),
        ({"REDIS_URL": "redis://:hunter2@localhost"}, "SECRET_KEYS"),
        ({"REDIS_URL": "http://:hunter2@localhost", "SECRET_KEYS": KEY}, "REDIS_URL"),
    ],
    ids=["a bad port", "a short key", "no key", "no Redis URL"],
)
def test_the_program_says_it_in_one_line_and_stops(run_server, tmp_path, environment, shown):
    status, out, err = run_server(**environment)
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("latchkey: ")
    assert shown in line
    assert "hunter2" not in line
    assert not (tmp_path / "data").exists()


def test_where_the_log_is_json_so_is_why_it_does_not_start(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "server.py"],
        cwd=tmp_path,
        env={**os.environ, "LOG_FORMAT": "json", "PORT": "x"},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (2, "")
    said = json.loads(done.stderr)
    assert (said["level"], said["message"][:13]) == ("ERROR", "PORT must be ")


@pytest.mark.parametrize("url", ["postgresql//user:hunter2@localhost/x", "user:hunter2@localhost"])
def test_a_database_url_that_is_none_is_not_shown(run_server, url):
    """What libpq can't read it quotes, and that holds the password."""
    environment = {"DATABASE_URL": url, "REDIS_URL": "redis://localhost", "SECRET_KEYS": KEY}
    status, out, err = run_server(**environment)
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert line.startswith("latchkey: DATABASE_URL must be ")
    assert "hunter2" not in line


def test_the_internal_listener_is_another_one():
    settings = read_settings({"INTERNAL_PORT": "9000", "INTERNAL_HOST": "::1"})
    assert (settings.internal_host, settings.internal_port) == ("::1", 9000)
    with pytest.raises(BadSetting, match="INTERNAL_PORT and PORT must differ"):
        read_settings({"INTERNAL_PORT": "9000", "PORT": "9000"})
    with pytest.raises(BadSetting, match="INTERNAL_PORT is not set"):
        read_settings({"INTERNAL_HOST": "127.0.0.1"})


def test_service_keys_may_be_in_a_file(tmp_path):
    (tmp_path / "keys").write_text(f"gateway:introspect:{KEY}\nbilling:write:{KEY}x\n")
    settings = read_settings({"SERVICE_KEYS_FILE": str(tmp_path / "keys")})
    assert [key.name for key in settings.service_keys] == ["gateway", "billing"]
    assert settings.secret_files == (tmp_path / "keys",)
    assert KEY not in repr(settings)
    assert "digest" not in repr(settings)


def test_signing_keys_of_jwts():
    assert Settings().jwt_signing_keys == ("own",)
    django = "django-insecure-a,b#c$(d&e)=f-g_h^i!j@k%l*m+n0123456789abcdefgh"
    settings = read_settings({"JWT_SIGNING_KEYS": f"{django} own"})
    assert settings.jwt_signing_keys == (django, "own")
    assert django not in repr(settings)
    with pytest.raises(BadSetting, match=r"JWT_SIGNING_KEYS.*RFC 7518") as refused:
        read_settings({"JWT_SIGNING_KEYS": "own too-short"})
    assert "too-short" not in str(refused.value)


@pytest.mark.parametrize("text", ["2026-12-01T00:00:00Z", "2026-12-01 03:00:00+03:00"])
def test_the_time_of_the_move(text):
    assert read_settings({"JWT_MOVED_AT": text}).jwt_moved_at == 1_796_083_200


@pytest.mark.parametrize("text", ["yesterday", "2026-12-01T00:00:00", "1796083200", "2026-13-01"])
def test_a_time_without_an_offset_is_no_time_of_the_move(text):
    with pytest.raises(BadSetting, match="JWT_MOVED_AT must be a time such as"):
        read_settings({"JWT_MOVED_AT": text})


def test_providers_of_identities_are_read():
    text = """
      apple=https://appleid.apple.com?client_id=com.example.app&client_id=com.example.web
      google=https://accounts.google.com?client_id=1234-abcd.apps.googleusercontent.com
      work=https://login.example.com/?client_id=a%26b
      local=http://127.0.0.1:8080/realms/x?client_id=mobile
    """
    assert read_settings({"OIDC_PROVIDERS": text}).oidc_providers == (
        Provider("apple", "https://appleid.apple.com", ("com.example.app", "com.example.web")),
        Provider(
            "google", "https://accounts.google.com", ("1234-abcd.apps.googleusercontent.com",)
        ),
        Provider("work", "https://login.example.com/", ("a&b",)),
        Provider("local", "http://127.0.0.1:8080/realms/x", ("mobile",)),
    )
