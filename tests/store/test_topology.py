"""Valid and invalid values of `REDIS_URL`."""

import pytest

from store.redis.client import check_redis_url
from store.redis.topology import Nodes, Sentinels, Single, parse_redis_url


@pytest.mark.parametrize(
    "url", ["redis://:p@a:1/2", "rediss://a", "unix:///tmp/s", "unix:///%2Ftmp%2Fs?db=1"]
)
def test_one_redis_is_left_to_the_driver(url):
    assert parse_redis_url(url) == Single(url)
    assert check_redis_url(url) == url


def test_a_sentinel_url_has_sentinels_a_service_and_a_database():
    at = parse_redis_url("redis+sentinel://u%40:p%3A@a.example:26379,[::1]:26380/my%20own/3")
    assert at == Sentinels(
        (("a.example", 26379), ("::1", 26380)),
        "my own",
        {"username": "u@", "password": "p:", "db": 3},
        {},
    )


def test_sentinels_may_have_a_separate_password():
    given = "redis+sentinel://:p@a:1/s?sentinel_username=su&sentinel_password=sp&ssl=true"
    at = parse_redis_url(given)
    assert at.options == {"password": "p", "db": 0, "ssl": True}
    assert at.sentinel_options == {"username": "su", "password": "sp", "ssl": True}


def test_a_cluster_url_has_nodes():
    at = parse_redis_url("redis+cluster://u:p@a:7000,b:7001/?socket_timeout=2")
    options = {"username": "u", "password": "p", "socket_timeout": 2.0}
    assert at == Nodes((("a", 7000), ("b", 7001)), options)


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1",
        "redis+sentinel://a:1/",
        "redis+sentinel://a:1/s/x",
        "redis+sentinel://a:1/s/1/2",
        "redis+sentinel://a:1/s/",
        "redis+sentinel://a/s",
        "redis+sentinel://a:1,/s",
        "redis+sentinel://a:1,b/s",
        "redis+sentinel://a:0/s",
        "redis+sentinel://a:65536/s",
        "redis+sentinel:///s",
        "redis+sentinel://a:1/s?nonsense=1",
        "redis+sentinel://a:1/s?socket_timeout=soon",
        "redis+sentinel://a:1/s#1",
        "redis+sentinel://a:1 b:2/s",
        "redis+cluster://",
        "redis+cluster://a",
        "redis+cluster://a:1/s",
        "redis+cluster://a:1/1",
        "redis+cluster://a:1?db=1",
        "redis+cluster://a:1;b:2",
        "redis+cluster://a:1?ssl=true&ssl_password=x",
        "redis://a:0",
        "redis://a:",
        "redis://a:65536",
        "redis+other://a:1/s",
        "redis://a:port",
        "sentinel://a:1/s",
    ],
)
def test_malformed_urls_are_refused(url):
    with pytest.raises(ValueError, match=r".+"):
        check_redis_url(url)
