// An application with Express and one with Fastify, compiled by `tsc --strict` and run.

import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";

import { Latchkey } from "@latchkey/client";
import * as forExpress from "@latchkey/client/express";
import { type Caller, latchkey as forFastify } from "@latchkey/client/fastify";
import express from "express";
import Fastify from "fastify";

const url = process.env["LATCHKEY_URL"];
const control = process.env["CONTROL_URL"];
if (url === undefined) throw new Error("LATCHKEY_URL is not set");
const FORGED = { "X-Account-Id": "1", "X-Account-Staff": "1", X_Account_Id: "1" };

/** What both applications respond with. */
const shown = (account: Caller | null | undefined) => ({
  account: account && { id: account.id, username: account.username, staff: account.is_staff },
});

const { requireAccount, optionalAccount } = forExpress.latchkey(url, { timeout: 3 });
const onExpress = express();
onExpress.get("/required", requireAccount, (request, response) => {
  response.json(shown(request.account));
});
onExpress.get("/optional", optionalAccount, (request, response) => {
  response.json(shown(request.account));
});
onExpress.get("/failing", requireAccount, () => {
  throw new Error("of the application");
});
onExpress.get(
  "/late",
  (request, response, next) => {
    response.status(504).end("late");
    next();
  },
  requireAccount,
  (request, response) => response.end(),
);
onExpress.use(
  (_error: Error, _: express.Request, response: express.Response, __: express.NextFunction) => {
    response.status(500).json({ error: _error.message });
  },
);
const listening = onExpress.listen(0, "127.0.0.1");
await new Promise((resolve) => listening.once("listening", resolve));

const onFastify = Fastify();
await onFastify.register(forFastify, { url });
await onFastify.register(async (scope) => {
  scope.addHook("onRequest", scope.requireAccount);
  scope.get("/required", async (request) => shown(request.account));
  scope.get("/failing", async () => {
    throw new Error("of the application");
  });
});
onFastify.get("/optional", { onRequest: onFastify.optionalAccount }, async (request) => {
  // @ts-expect-error: it is null for a request without a token
  const wrong = () => request.account.id;
  return request.account === null || wrong() > 0 ? shown(request.account) : undefined;
});
onFastify.get("/open", async (request) => shown(request.account));
await onFastify.listen({ port: 0, host: "127.0.0.1" });

const latchkey = new Latchkey(url);
const username = `caller-${process.pid}`;
const { account } = await latchkey.register({ username, password: "Analytical-Engine-1843" });
const token = await latchkey.token();
const known = { account: { id: account.id, username, staff: false } };
const anonymous = { account: null };

for (const server of [listening, onFastify.server]) {
  const { port } = server.address() as AddressInfo;
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    const { status, headers: found } = response;
    return { status, headers: found, json: await response.json() };
  };
  const authorization = { Authorization: `Bearer ${token}` };
  for (const path of ["/required", "/optional"]) {
    assert.deepEqual((await get(path, { ...authorization, ...FORGED })).json, known);
    const wrong = await get(path, { Authorization: "Bearer x", ...FORGED });
    assert.deepEqual([wrong.status, wrong.json], [401, { detail: "Invalid token." }]);
    assert.equal(wrong.headers.get("WWW-Authenticate"), "Token");
    assert.match(wrong.headers.get("Content-Type") ?? "", /^application\/json/);
  }
  const none = await get("/required", FORGED);
  assert.deepEqual([none.status, Object.keys(none.json)], [401, ["detail"]]);
  assert.deepEqual((await get("/optional", FORGED)).json, anonymous);
  assert.equal((await get("/failing", authorization)).status, 500);

  await fetch(`${control}/outages/redis`, { method: "PUT" });
  for (const path of ["/required", "/optional"]) {
    const unavailable = await get(path, authorization);
    assert.deepEqual([unavailable.status, unavailable.headers.get("Retry-After")], [503, "1"]);
    assert.deepEqual(Object.keys(unavailable.json), ["detail"]);
  }
  await fetch(`${control}/outages/redis`, { method: "DELETE" });
  while ((await get("/required", authorization)).status === 503);
  assert.deepEqual((await get("/required", authorization)).json, known);
}
const expressPort = (listening.address() as AddressInfo).port;
const late = await fetch(`http://127.0.0.1:${expressPort}/late`);
assert.deepEqual([late.status, await late.text()], [504, "late"]);
const fastifyPort = (onFastify.server.address() as AddressInfo).port;
const open = await fetch(`http://127.0.0.1:${fastifyPort}/open`, { headers: FORGED });
assert.deepEqual(await open.json(), anonymous);

await latchkey.logOut();
for (const port of [expressPort, fastifyPort]) {
  const headers = { Authorization: `Bearer ${token}` };
  assert.equal((await fetch(`http://127.0.0.1:${port}/required`, { headers })).status, 401);
}
listening.closeAllConnections();
listening.close();
await onFastify.close();
