"""The client's address and the server's URL: only a trusted proxy's headers are used."""

import re
from dataclasses import replace
from ipaddress import ip_network

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from app import create_app
from handlers.proxies import Proxies
from settings import read_settings
from store.addresses import parse_network
from tests.handlers.contract import Row, play
from tests.handlers.dialects.lumotist_rows import SIGN_UP, SUCCESS, profile, token
from tests.store.test_images import PNG

TRUSTED = "10.0.0.0/8 192.0.2.7 2001:db8::/32"
ADDRESSES = {
    "nobody in between": ("198.51.100.1", [], "198.51.100.1"),
    "a proxy": ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
    "a proxy alone": ("192.0.2.7", ["198.51.100.1"], "198.51.100.1"),
    "its neighbour": ("192.0.2.8", ["198.51.100.1"], "192.0.2.8"),
    "a proxy that says nothing": ("10.0.0.1", [], "10.0.0.1"),
    "a proxy that says little": ("10.0.0.1", ["", " , "], "10.0.0.1"),
    "forged": ("198.51.100.1", ["203.0.113.9"], "198.51.100.1"),
    "forged as a proxy": ("198.51.100.1", ["10.0.0.1"], "198.51.100.1"),
    "forged before a proxy": ("10.0.0.1", ["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
    "forged in a line of its own": ("10.0.0.1", ["203.0.113.9", "198.51.100.1"], "198.51.100.1"),
    "forged as a proxy before a proxy": ("10.0.0.1", ["10.0.0.9, 198.51.100.1"], "198.51.100.1"),
    "two proxies": ("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1"),
    "two proxies, two lines": ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
    "forged before two": ("10.0.0.1", ["203.0.113.9,198.51.100.1 ,192.0.2.7"], "198.51.100.1"),
    "a proxy that is not ours": ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
    "proxies only": ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "no address": ("10.0.0.1", ["unknown"], "10.0.0.1"),
    "no address before one": ("10.0.0.1", ["198.51.100.1, evil, 10.0.0.2"], "10.0.0.2"),
    "a name": ("10.0.0.1", ["localhost"], "10.0.0.1"),
    "a network": ("10.0.0.1", ["198.51.100.0/24"], "10.0.0.1"),
    "IPv6": ("2001:db8::1", ["2001:470::9"], "2001:470::9"),
    "IPv6 behind IPv4": ("10.0.0.1", ["203.0.113.9, 2001:470::9, 2001:db8::2"], "2001:470::9"),
    "IPv6, not ours": ("2001:470::1", ["198.51.100.1"], "2001:470::1"),
    "a unix socket": ("", ["198.51.100.1"], ""),
    "a proxy through an IPv6 socket": ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
    "a client through an IPv6 socket": ("::ffff:198.51.100.1", [], "198.51.100.1"),
    "forged through an IPv6 socket": ("::ffff:198.51.100.1", ["10.0.0.9"], "198.51.100.1"),
    "mapped in the header": ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
    "a mapped proxy in the header": (
        "10.0.0.1",
        ["198.51.100.1, ::ffff:10.0.0.2"],
        "198.51.100.1",
    ),
    "mapped, in hexadecimal": ("10.0.0.1", ["::FFFF:c633:6401"], "198.51.100.1"),
    "with a port": ("10.0.0.1", ["198.51.100.7:5001"], "198.51.100.7"),
    "IPv6 with a port": ("10.0.0.1", ["[2001:470::1]:5001"], "2001:470::1"),
    "IPv6 in brackets": ("10.0.0.1", ["[2001:470::1]"], "2001:470::1"),
    "IPv6 in capitals": ("10.0.0.1", ["2001:470:0:0::00AB"], "2001:470::ab"),
    "mapped with a port": ("10.0.0.1", ["[::ffff:198.51.100.7]:5001"], "198.51.100.7"),
    "quoted": ("10.0.0.1", ['"[2001:470::1]:5001"'], "2001:470::1"),
    "with a zone": ("10.0.0.1", ["fe80::1%eth0"], "fe80::1"),
    "with a zone and a port": ("10.0.0.1", ["[fe80::1%25eth0]:5001"], "fe80::1"),
    "a peer with a zone": ("fe80::1%eth0", [], "fe80::1"),
    "proxies with ports": ("10.0.0.1", ["198.51.100.7:5001, 10.0.0.2:80"], "198.51.100.7"),
    "a port alone": ("10.0.0.1", [":5001"], "10.0.0.1"),
    "no port behind the colon": ("10.0.0.1", ["198.51.100.7:"], "10.0.0.1"),
    "half a bracket": ("10.0.0.1", ["[2001:470::1"], "10.0.0.1"),
    "octal": ("10.0.0.1", ["198.051.100.7"], "10.0.0.1"),
    "very long": ("10.0.0.1", ["1" * 8000], "10.0.0.1"),
}
"""The peer, X-Forwarded-For, and the client's address."""


def proxies(networks):
    return Proxies([ip_network(each) for each in networks.split()])


def request(remote, headers=()):
    mocked = make_mocked_request("GET", "/", CIMultiDict([("Host", "inner:8000"), *headers]))
    return mocked.clone(remote=remote)


@pytest.mark.parametrize(("remote", "forwarded", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_address(remote, forwarded, address):
    asked = request(remote, [("X-Forwarded-For", line) for line in forwarded])
    assert proxies(TRUSTED).address(asked) == address
    assert proxies("").address(asked) == {
        "::ffff:10.0.0.1": "10.0.0.1",
        "::ffff:198.51.100.1": "198.51.100.1",
        "fe80::1%eth0": "fe80::1",
    }.get(remote, remote)


def test_a_mapped_network_is_one_of_ipv4():
    assert parse_network("::ffff:10.0.0.0/104") == ip_network("10.0.0.0/8")
    assert parse_network("::ffff:10.0.0.1") == ip_network("10.0.0.1")
    assert parse_network("::/0") == ip_network("::/0")
    [network] = read_settings({"TRUSTED_PROXIES": "::ffff:10.1.2.3/104"}).trusted_proxies
    assert network == ip_network("10.0.0.0/8")


def test_a_trusted_proxy_that_sends_no_address_is_logged_once(caplog):
    """Without the header's text, which may have any content of a client."""
    some = proxies(TRUSTED)
    for _ in range(3):
        assert some.address(request("10.0.0.1", [("X-Forwarded-For", "some-secret")])) == "10.0.0.1"
    assert some.address(request("198.51.100.1", [("X-Forwarded-For", "odd")])) == "198.51.100.1"
    [record] = caplog.records
    assert "10.0.0.1" in record.getMessage()
    assert "some-secret" not in record.getMessage()


FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example"}
BASES = {
    "nothing forwarded": ({}, "http://inner:8000"),
    "both": (FORWARDED, "https://app.example"),
    "the scheme": ({"X-Forwarded-Proto": "https"}, "https://inner:8000"),
    "the host": ({"X-Forwarded-Host": "app.example:8443"}, "http://app.example:8443"),
    "an address alone": ({"X-Forwarded-For": "198.51.100.1"}, "http://inner:8000"),
}


@pytest.mark.parametrize(("headers", "base"), BASES.values(), ids=BASES)
def test_base_url(headers, base):
    headers = list(headers.items())
    assert proxies(TRUSTED).base_url(request("10.0.0.1", headers)) == base
    assert proxies(TRUSTED).base_url(request("198.51.100.1", headers)) == "http://inner:8000"
    assert proxies("").base_url(request("10.0.0.1", headers)) == "http://inner:8000"


def test_what_was_forwarded_for_decides_nothing_about_urls():
    """A direct client that claims to be a proxy is not one."""
    forged = [("X-Forwarded-For", "10.0.0.1"), *FORWARDED.items()]
    asked = request("198.51.100.1", forged)
    assert proxies(TRUSTED).base_url(asked) == "http://inner:8000"


CHAINED = {
    "lists": {"X-Forwarded-Proto": "https, https", "X-Forwarded-Host": "app.example, app.example"},
    "a list of hosts": {"X-Forwarded-Host": "app.example, inner:8000"},
    "nothing in them": {"X-Forwarded-Proto": "", "X-Forwarded-Host": ""},
}
"""Two proxies in a row, such as Apache's, and a proxy that sends no headers."""


@pytest.mark.parametrize("headers", CHAINED.values(), ids=CHAINED)
def test_base_url_is_always_one(headers):
    base = proxies(TRUSTED).base_url(request("10.0.0.1", list(headers.items())))
    assert re.fullmatch(r"https?://[\w.-]+(:\d+)?", base)


async def urls(aiohttp_client, settings, headers):
    """Upload a picture; return the beginnings of its URL and of the gallery's URLs."""
    client = await aiohttp_client(create_app(settings))
    by_token = token("<token>")
    upload = Row("POST /account/set_picture", PNG, 200, SUCCESS, by_token)
    names = await play(
        client, [SIGN_UP, replace(upload, headers=by_token | {"Content-Type": "image/png"})]
    )
    asked = replace(profile(picture="<own = url>"), headers=by_token | headers)
    names = await play(client, [asked], names)
    headers = headers | {"Authorization": f"Token {names['token']}"}
    response = await client.get("/account/get_pictures", headers=headers)
    picture = (await response.json())["male"][0]["picture"]
    own, path, picture_id = names["own"].rpartition("/pictures/")
    assert (await client.get(path + picture_id)).status == 200
    return own, picture.rpartition("/pictures/")[0], f"http://{client.host}:{client.port}"


HERE = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("changes", "headers", "base"),
    [
        ({}, {}, None),
        ({}, {"Host": "inner:81"}, "http://inner:81"),
        ({}, FORWARDED, None),
        ({"trusted_proxies": (ip_network("192.0.2.0/24"),)}, FORWARDED, None),
        ({"trusted_proxies": HERE}, FORWARDED, "https://app.example"),
        ({"trusted_proxies": HERE}, {}, None),
        ({"public_url": "https://cdn.example/a"}, {}, "https://cdn.example/a"),
        (
            {"public_url": "https://cdn.example", "trusted_proxies": HERE},
            {**FORWARDED, "Host": "inner"},
            "https://cdn.example",
        ),
    ],
)
async def test_urls_begin_as_clients_see_them(
    aiohttp_client, settings, clean, changes, headers, base
):
    """The URL of an uploaded picture, and those of the gallery."""
    own, gallery, here = await urls(aiohttp_client, replace(settings, **changes), headers)
    assert (own, gallery) == (base or here, base or here)
