"""The ceiling: aiohttp on uvloop with one constant answer, and nothing else."""

import os

import uvloop
from aiohttp import web

BODY = b'{"id":1,"username":"user1","email":"user1@example.com"}'


async def answer(request: web.Request) -> web.Response:
    return web.Response(body=BODY, content_type="application/json")


app = web.Application()
app.router.add_get("/", answer)

if __name__ == "__main__":
    port = int(os.environ["PORT"])
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        loop=uvloop.new_event_loop(),
    )
