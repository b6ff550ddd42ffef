"""@latchkey/client in Node.js, installed from its tarball."""

import json
from pathlib import Path

import pytest

from tests.clients.javascript.conftest import Site, run, run_tests

pytestmark = pytest.mark.slow


@pytest.mark.timeout(180)
@pytest.mark.parametrize("file", ["server.test.js", "app.test.js"])
async def test_without_another_package(site: Site, installed: Path, file: str):
    await run_tests(installed, file, site)


COMPILER = "node_modules/typescript/bin/tsc"
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


PAGE = """
import { ItemStorage, Latchkey } from "@latchkey/client";
const latchkey = new Latchkey("/accounts", { storage: new ItemStorage(localStorage) });
export const email: Promise<string | null> = latchkey.account().then((each) => each.email);
"""


@pytest.mark.timeout(300)
async def test_types_without_node(with_frameworks: Path):
    """An app in a browser, built with a bundler, has no types of Node.js."""
    directory = with_frameworks / "page"
    directory.mkdir()
    (directory / "page.ts").write_text(PAGE)
    options = {
        "strict": True,
        "noEmit": True,
        "lib": ["es2022", "dom"],
        "module": "esnext",
        "moduleResolution": "bundler",
        "types": [],
    }
    (directory / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    status, printed = await run("node", COMPILER, "-p", "page", cwd=with_frameworks)
    assert status == 0, printed


@pytest.mark.timeout(300)
async def test_with_typescript_express_and_fastify(site: Site, with_frameworks: Path):
    """The declarations of types are checked, too, and agree with what runs."""
    names = ["sample", "applications"]
    status, printed = await run(
        "node", COMPILER, *STRICT, *(f"{name}.ts" for name in names), cwd=with_frameworks
    )
    assert status == 0, printed
    for name in names:
        status, printed = await run("node", f"{name}.js", cwd=with_frameworks, **site.environment)
        assert (status, printed) == (0, ""), printed
