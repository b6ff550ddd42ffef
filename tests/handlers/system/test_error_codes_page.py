"""The page at /docs/errors: a row for each code, where the `type` of a problem leads."""

import html
import re
from dataclasses import replace

import pytest

from app import create_app
from handlers.mounts import Mount
from handlers.problem_codes import FIELD_CODES, PROBLEMS
from handlers.system.static_files import HEADERS

ROW = re.compile(r'^<tr id="([\w-]+)">(.+)</tr>$', re.MULTILINE)
CELL = re.compile(r"<td>(.*?)</td>")


async def rows(client, path: str = "/docs/errors") -> dict[str, list[str]]:
    """Return the text of each row of the page by its anchor."""
    response = await client.get(path)
    assert (response.status, response.content_type) == (200, "text/html")
    found = {}
    for anchor, row in ROW.findall(await response.text()):
        cells = (re.sub("</?code>", "", cell) for cell in CELL.findall(row))
        found[anchor] = [html.unescape(cell) for cell in cells]
    return found


async def test_every_code_has_a_row(client):
    found = await rows(client)
    problems = {
        code: [code, str(status), title, advice.replace("`", "")]
        for code, (status, title, advice) in PROBLEMS.items()
    }
    fields = {f"field-{code}": [code, meaning] for code, meaning in FIELD_CODES.items()}
    assert found == problems | fields


async def test_the_type_of_a_problem_leads_to_its_row(client):
    problem = await (await client.get("/v1/account")).json()
    path, _, anchor = problem["type"].partition("#")
    assert (await rows(client, path))[anchor][2] == problem["title"]


async def test_the_page_loads_its_style_and_nothing_else(client):
    text = await (await client.get("/docs/errors")).text()
    assert re.findall(r'(?:src|href)="(.+?)"', text) == ["data:,", "errors.css"]
    assert "<script" not in text
    assert "style=" not in text
    style = await client.get("/docs/errors.css")
    assert (style.status, style.content_type) == (200, "text/css")
    assert "url(" not in await style.text()


@pytest.mark.parametrize("path", ["/docs/errors", "/docs/errors.css"])
async def test_headers_and_methods(client, path):
    response = await client.get(path)
    assert {name: response.headers[name] for name in HEADERS} == HEADERS
    assert "Access-Control-Allow-Origin" not in response.headers
    response = await client.post(path)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_it_does_not_depend_on_docs(settings, aiohttp_client, clean):
    """Responses refer to it, with DOCS=off too."""
    client = await aiohttp_client(create_app(replace(settings, docs="off")))
    assert len(await rows(client)) > 20
    assert (await client.get("/docs")).status == 404


async def test_it_is_there_only_with_its_dialect(settings, aiohttp_client, clean):
    client = await aiohttp_client(create_app(replace(settings, dialects={"kust": Mount("/")})))
    assert (await client.get("/docs/errors")).status == 404
