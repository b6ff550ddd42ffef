// The server's side, without a framework.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Latchkey } from "@latchkey/client";
import { Verifier } from "@latchkey/client/server";
import { PASSWORD, SERVER, newName, shown, withServer, without } from "./site.js";

const UNKNOWN = "0123456789abcdef".repeat(4);

/** A user who is logged in. */
async function user(fields = {}) {
  const latchkey = new Latchkey(SERVER);
  const { account, session } = await latchkey.register({ ...fields, password: PASSWORD });
  return { latchkey, account, session, authorization: `Bearer ${await latchkey.token()}` };
}

/** Run an action with a verifier, and the reasons of its 503s. */
async function verifying(url, options, action) {
  const reasons = [];
  const onUnavailable = (reason) => reasons.push(reason);
  const verifier = new Verifier(url, { onUnavailable, ...options });
  try {
    return await action((...request) => verifier.verify(...request), reasons);
  } finally {
    verifier.close();
  }
}

test("a caller is complete", async () => {
  const username = `${newName()}世é+`;
  const email = `${newName()}@example.com`;
  const { account, session, authorization } = await user({ username, email });
  await verifying(`${SERVER}/`, {}, async (verify) => {
    const caller = {
      id: account.id,
      username,
      email,
      email_verified: false,
      is_staff: false,
      is_superuser: false,
      session: { id: session.id, dialect: "latchkey", kind: "device" },
    };
    assert.deepEqual(await verify(authorization), { account: caller, refusal: null });
    const token = authorization.replace("Bearer", "token");
    assert.deepEqual((await verify(token, { isOptional: true })).account, caller);
  });
  const nameless = await user({ email: `${newName()}@example.com` });
  await verifying(SERVER, {}, async (verify) => {
    assert.equal((await verify(nameless.authorization)).account.username, null);
  });
});

test("a token that is not valid, and none", async () => {
  const { latchkey, authorization } = await user({ username: newName() });
  await latchkey.logOut();
  await verifying(SERVER, {}, async (verify, reasons) => {
    for (const wrong of [
      authorization,
      `Token ${UNKNOWN}`,
      "Token x y",
      "Token \xe9",
      `Token ${"x".repeat(5000)}`,
    ]) {
      for (const isOptional of [false, true]) {
        const { account, refusal } = await verify(wrong, { isOptional });
        assert.deepEqual([account, refusal.status], [null, 401], wrong);
        assert.deepEqual(JSON.parse(refusal.body), { detail: "Invalid token." });
        assert.equal(refusal.headers["WWW-Authenticate"], "Token");
        assert.match(refusal.headers["Content-Type"], /^application\/json/);
      }
    }
    for (const none of [undefined, "", "Basic YTpi"]) {
      const { account, refusal } = await verify(none);
      assert.deepEqual([account, refusal.status], [null, 401]);
      assert.match(refusal.body, /credentials were not provided/);
      const anonymous = { account: null, refusal: null };
      assert.deepEqual(await verify(none, { isOptional: true }), anonymous);
    }
    assert.deepEqual(reasons, []);
  });
});

test("a header that is too large is the client's error", async () => {
  await verifying(SERVER, {}, async (verify, reasons) => {
    const { account, refusal } = await verify(`Bearer ${"x".repeat(9000)}`);
    assert.deepEqual([account, refusal.status, reasons], [null, 431, []]);
  });
});

test("a 401 in the wording of a dialect", async () => {
  await verifying(`${SERVER}/latchkey`, {}, async (verify) => {
    const { refusal } = await verify(`Bearer ${UNKNOWN}`);
    assert.equal(JSON.parse(refusal.body).code, "token_unknown");
    assert.equal(refusal.headers["Content-Type"], "application/problem+json");
  });
});

test("a 401 without a type has a body of some type", async () => {
  const listener = (request, response) =>
    response.writeHead(401, { "WWW-Authenticate": "Bearer" }).end();
  await withServer(listener, (url) =>
    verifying(url, {}, async (verify) => {
      const { refusal } = await verify(`Bearer ${UNKNOWN}`);
      assert.deepEqual([refusal.status, refusal.headers["Content-Type"]], [401, "text/plain"]);
    }),
  );
});

test("an outage is a 503", async () => {
  const { authorization } = await user({ username: newName() });
  await verifying(SERVER, {}, async (verify, reasons) => {
    await without("redis", async () => {
      for (const isOptional of [false, true]) {
        const { account, refusal } = await verify(authorization, { isOptional });
        assert.deepEqual([account, refusal.status], [null, 503]);
        assert.equal(refusal.headers["Retry-After"], "1");
      }
    });
    assert.deepEqual(
      reasons.map(String),
      Array(2).fill(`Error: ${SERVER}/verify responded with 503.`),
    );
  });
});

test("what is not Latchkey's response is a 503, and no account", async () => {
  const secret = "Bearer 5ec4e7";
  const respond =
    (status, headers = {}, body = "") =>
    (request, response) => {
      response.writeHead(status, headers).end(body);
    };
  const whole = { "X-Account-Id": "1", "X-Account-Username": "%zz" };
  for (const listener of [
    respond(200, {}, "<h1>An app</h1>"),
    respond(200, { "X-Account-Id": "1 2" }),
    respond(200, { "X-Account-Id": "9007199254740993" }), // as a number 9007199254740992
    respond(200, whole),
    respond(302, { Location: "/", "X-Account-Id": "1" }),
    respond(401, { "WWW-Authenticate": "Basic" }),
    respond(401),
    respond(403),
    respond(404),
    respond(500, { "Retry-After": "x" }),
    respond(200, { "X-Account-Id": "1" }, "x".repeat(100000)),
    (request) => request.socket.destroy(),
    () => {},
    (request, response) => response.writeHead(200, { "X-Account-Id": "1" }).write("x"),
  ]) {
    await withServer(listener, (url) =>
      verifying(url, { timeout: 0.3 }, async (verify, reasons) => {
        const { account, refusal } = await verify(secret);
        assert.deepEqual([account, refusal.status], [null, 503], String(listener));
        assert.equal(refusal.headers["Retry-After"], "1");
        assert.equal(reasons.length, 1);
        assert.ok(!shown(reasons[0]).includes("5ec4e7"), shown(reasons[0]));
      }),
    );
  }
  await verifying("http://127.0.0.1:1", {}, async (verify) => {
    assert.equal((await verify(secret)).refusal.status, 503);
  });
});

test("connections are kept open, bounded, and replaced when the server closes them", async () => {
  const { authorization } = await user({ username: newName() });
  const sockets = new Set();
  const relay = async (request, response) => {
    sockets.add(request.socket);
    const found = await fetch(SERVER + request.url, { headers: { authorization } });
    response.writeHead(found.status, { "X-Account-Id": found.headers.get("X-Account-Id") }).end();
  };
  await withServer(relay, (url, server) =>
    verifying(url, { connections: 2 }, async (verify) => {
      const nine = () => Promise.all(Array.from({ length: 9 }, () => verify(authorization)));
      assert.ok((await nine()).every(({ account }) => account !== null));
      assert.ok((await nine()).every(({ account }) => account !== null));
      assert.equal(sockets.size, 2);
      // The server closes an idle connection while the next request is on its way to it.
      for (const socket of sockets) socket.resetAndDestroy();
      assert.ok((await nine()).every(({ account }) => account !== null));
      assert.equal(sockets.size, 4);
      server.closeAllConnections();
    }),
  );
});
