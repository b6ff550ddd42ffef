"""@latchkey/client in Node.js, installed from its tarball."""

from pathlib import Path

import pytest

from tests.clients.javascript.conftest import Site, run, run_tests

pytestmark = pytest.mark.slow


@pytest.mark.timeout(180)
@pytest.mark.parametrize("file", ["app.test.js", "server.test.js"])
async def test_without_another_package(site: Site, installed: Path, file: str):
    await run_tests(installed, file, site)


STRICT = (
    "--strict",
    "--exactOptionalPropertyTypes",
    "--noUncheckedIndexedAccess",
    "--noPropertyAccessFromIndexSignature",
    "--target",
    "es2022",
    "--module",
    "nodenext",
    "--types",
    "node",
)


@pytest.mark.timeout(300)
async def test_with_typescript_express_and_fastify(site: Site, with_frameworks: Path):
    """The declarations of types are checked, too, and agree with what runs."""
    names = ["sample", "applications"]
    compiler = "node_modules/typescript/bin/tsc"
    status, printed = await run(
        "node", compiler, *STRICT, *(f"{name}.ts" for name in names), cwd=with_frameworks
    )
    assert status == 0, printed
    for name in names:
        status, printed = await run("node", f"{name}.js", cwd=with_frameworks, **site.environment)
        assert (status, printed) == (0, ""), printed
