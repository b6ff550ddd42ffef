"""Templates, settings and files: what a message looks like before it leaves."""

import datetime
import re
import stat
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from app import create_app, make_messages
from mail.links import Links
from mail.messages import BadTemplate, Messages
from mail.settings import SmtpServer, deliverable, parse_mail_url, sender_address
from mail.transport import KEPT_FILES, Connection, DirectoryTransport, Unreachable, stored
from options import mail_options
from settings import BadSetting, Settings, read_settings
from store.mail_queue import KINDS, QueuedMail
from tests.mail.smtp import texts

NOW = datetime.datetime(2026, 11, 26, 7, 6, 58, 123456, tzinfo=datetime.UTC)
MAIL = QueuedMail(12, "reset", None, "mika@example.com", None, None, NOW, NOW, 1)
LINK = "https://app.example/#AQAAAAAAAAABAAAAAGsH6KIA-_&amp"


def options(**changes):
    given = {"mail_url": "smtp://127.0.0.1", "public_url": "https://accounts.example"}
    return mail_options(Settings(**{**given, **changes}))


def compose(mail=MAIL, link=LINK, **changes):
    return Messages(options(**changes)).compose(mail, mail.address, link)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_says_the_same_in_text_and_html(kind):
    message = compose(replace(MAIL, kind=kind), product_name="A & B <Ltd>")
    text, html = texts(message)
    assert "A & B <Ltd>" in message["Subject"]
    assert "A & B <Ltd>" in text.replace("\n", " ")
    assert "A &amp; B &lt;Ltd&gt;" in html
    assert "<Ltd>" not in html
    assert (LINK in text) == (LINK.replace("&", "&amp;") in html) == (kind in _LINKED)
    assert max(map(len, text.splitlines())) <= 100
    assert not re.search("{{|}}|{%", text + html)


_LINKED = ("verify", "change", "reset", "activate", "rename")


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_only_client_shows_every_sentence(kind):
    text, html = texts(compose(replace(MAIL, kind=kind)))
    body = unescape(re.sub("<style>.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL))
    body = " ".join(body.replace("\u201c", '"').replace("\u201d", '"').split())
    sentences = [each.strip() for each in re.split(r"[.:](?:\s|$)", " ".join(text.split()))]
    sentences = [each.removesuffix(", open this link") for each in sentences if each]
    assert len(sentences) >= 3
    assert [each for each in sentences if each not in body] == []


@pytest.mark.parametrize("kind", KINDS)
def test_html_needs_nothing_from_elsewhere(kind):
    """No picture, script, font or style sheet is loaded, and there is no table."""
    _, html = texts(compose(replace(MAIL, kind=kind)))
    assert not re.search("<(img|script|link|table|iframe)|@import|url\\(", html)
    assert set(re.findall('(?:href|src)="([^"]*)"', html)) <= {LINK.replace("&", "&amp;")}
    assert "prefers-color-scheme: dark" in html


def test_each_attempt_has_the_same_message_id_and_each_row_another():
    ids = [compose(replace(MAIL, attempts=attempt))["Message-ID"] for attempt in (1, 2)]
    assert ids[0] == ids[1]
    others = [
        replace(MAIL, id=13),
        replace(MAIL, created=NOW + datetime.timedelta(microseconds=1)),  # a restored database
        replace(MAIL, address="other@example.com"),
    ]
    assert len({ids[0], *(compose(each)["Message-ID"] for each in others)}) == 4


def test_headers_are_not_folded():
    address = f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 50}.example"
    message = compose(replace(MAIL, address=address))
    assert f"\r\nTo: {address}\r\n" in message.as_bytes().decode()
    assert all(len(line) < 998 for line in message.as_bytes().splitlines())


def write(directory: Path, name: str, text: str) -> None:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_own_templates_come_first(tmp_path):
    write(tmp_path, "en/reset.subject", "New password,\n please: {{ product }}")
    write(tmp_path, "layout.html", "<p>ours</p>{% block content %}{% endblock %}")
    message = compose(mail_templates=str(tmp_path))
    assert message["Subject"] == "New password, please: Latchkey"
    text, html = texts(message)
    assert "works once" in text
    assert html.startswith("<p>ours</p>")
    assert LINK.replace("&", "&amp;") in html


def test_another_language(tmp_path):
    for kind in KINDS:
        write(tmp_path, f"de/{kind}.subject", "Grüße von {{ product }}")
        write(tmp_path, f"de/{kind}.txt", "Öffne {{ link }} bis {{ expires }}")
        write(tmp_path, f"de/{kind}.html", '{% extends "layout.html" %}')
    message = compose(mail_templates=str(tmp_path), mail_language="de")
    assert message["Subject"] == "Grüße von Latchkey"
    assert message["Content-Language"] == "de"
    text, html = texts(message)
    assert text == f"Öffne {LINK} bis 2026-11-26 07:06 UTC\n"
    assert '<html lang="de">' in html


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("en/reset.txt", "{{ lnik }}"),
        ("en/reset.html", "{% if %}"),
        ("en/reset.html", '{% extends "nothing.html" %}'),
        ("en/password.subject", "{{ product.x.y }}"),
        ("en/password.subject", "{{ 1 / 0 }}"),
    ],
)
def test_a_bad_template_is_found_at_the_start(tmp_path, name, text):
    write(tmp_path, name, text)
    with pytest.raises(BadTemplate, match=name.partition(".")[0]) as caught:
        compose(mail_templates=str(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_language_is_a_bad_setting():
    settings = Settings(mail_url="file:x", public_url="https://a.example", mail_language="de")
    with pytest.raises(BadSetting, match=r"MAIL_LANGUAGE: the template de/verify\.subject"):
        create_app(settings)
    assert make_messages(replace(settings, mail_language="en"))


# Settings.


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("smtp://mail.example", SmtpServer("mail.example", 587, False)),
        ("smtps://mail.example/", SmtpServer("mail.example", 465, True)),
        ("smtp://[::1]:25", SmtpServer("::1", 25, False)),
        (
            "smtp://a%40b:p%2F%23%3A@mail.example:2525",
            SmtpServer("mail.example", 2525, False, "a@b", "p/#:"),
        ),
        ("file:/var/mail", Path("/var/mail")),
        ("file:///var/mail", Path("/var/mail")),
        ("file:mail", Path("mail")),
    ],
)
def test_a_mail_url(text, parsed):
    assert parse_mail_url(text) == parsed


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("0.0.0.0", False),  # noqa: S104
    ],
)
def test_what_is_loopback(host, is_loopback):
    assert SmtpServer(host, 25, False).is_loopback == is_loopback


def test_no_password_is_shown():
    given = {
        "MAIL_URL": "smtp://me:hunter2@mail.example",
        "MAIL_FROM": "me@mail.example",
        "PUBLIC_URL": "https://a.example",
    }
    settings = read_settings(given)
    for shown in (settings, mail_options(settings), parse_mail_url(settings.mail_url)):
        assert "hunter2" not in repr(shown)


def test_the_url_may_be_in_a_file(tmp_path):
    file = tmp_path / "url"
    file.write_text("smtps://me:hunter2@mail.example\n")
    settings = read_settings({"MAIL_URL_FILE": str(file), "MAIL_FROM": "me@mail.example"})
    assert settings.mail_url == "smtps://me:hunter2@mail.example"


def test_a_server_needs_a_sender():
    with pytest.raises(BadSetting, match="MAIL_FROM is not set"):
        read_settings({"MAIL_URL": "smtp://mail.example"})
    assert read_settings({"MAIL_URL": "file:mail"}).mail_from == ""


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("me@example.com", "", "me@example.com"),
        ("Me <me@example.com>", "Me", "me@example.com"),
        ('"Me, Ltd." <me@bücher.example>', "Me, Ltd.", "me@xn--bcher-kva.example"),
    ],
)
def test_a_sender(text, name, address):
    sender = sender_address(text)
    assert (sender.display_name, sender.addr_spec) == (name, address)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mail_url": ""}, "MAIL_URL is not set"),
        ({"public_url": ""}, "none of PUBLIC_URL"),
        ({"public_url": "", "verify_url": "https://a.example/#{token}"}, "none of PUBLIC_URL"),
        ({}, None),
        ({"public_url": "", "verify_url": "my://{token}", "reset_url": "my://{token}"}, None),
    ],
)
def test_what_mail_needs(changes, problem):
    found = options(**changes).problem
    assert found == problem or (problem and found.startswith(problem))


def test_the_port_is_known_once_the_server_listens():
    links = Links(options(public_url="http://127.0.0.1:{port}"), 0)
    assert not links.is_ready
    links.port = 8080
    assert links.is_ready
    assert links.link("verify", "abc", 1) == "http://127.0.0.1:8080/ui/verify-email#abc"
    assert Links(options(), 0).is_ready


@pytest.mark.parametrize("address", ["a@b", "a b@c.example", "a@c.example\0", "", "ä@c.example"])
def test_what_no_server_takes_is_not_deliverable(address):
    assert deliverable(address) is None


# Files.


async def deliver(connection: Connection, mail: QueuedMail = MAIL) -> None:
    await connection.deliver(mail, compose(mail))
    await connection.close()


async def test_a_file_is_its_owners_alone(tmp_path):
    directory = tmp_path / "some" / "mail"
    await deliver(DirectoryTransport(directory).open())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    [file] = directory.iterdir()
    assert file.name == "20261126T070658-0000000012-reset.eml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().startswith(b"From: no-reply@localhost\r\n")


async def test_another_attempt_replaces_the_file(tmp_path):
    for attempts in (1, 2):
        await deliver(DirectoryTransport(tmp_path).open(), replace(MAIL, attempts=attempts))
    assert len(list(tmp_path.iterdir())) == 1


async def test_the_oldest_files_go(tmp_path):
    for number in range(KEPT_FILES):
        (tmp_path / f"20260101T000000-{number:010d}-reset.eml").touch()
    await deliver(DirectoryTransport(tmp_path).open())
    files = stored(tmp_path)
    assert len(files) == KEPT_FILES
    assert files[0].name.startswith("20261126")
    assert files[-1].name == "20260101T000000-0000000001-reset.eml"


async def test_a_directory_that_cannot_be_written_to(tmp_path):
    (tmp_path / "mail").write_text("a file")
    with pytest.raises(Unreachable, match="cannot be written to: File exists"):
        await deliver(DirectoryTransport(tmp_path / "mail").open())
