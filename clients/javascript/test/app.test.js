// The app's side against a real server, and against what else may be at its address.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import {
  ConnectionProblem,
  InvalidFields,
  ItemStorage,
  Latchkey,
  MemoryStorage,
  Problem,
  SecureStorage,
} from "@latchkey/client";
import {
  NEW_PASSWORD,
  PASSWORD,
  SERVER,
  bringBack,
  caught,
  linkToken,
  newName,
  shown,
  takeAway,
  withServer,
  without,
} from "./site.js";

const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
);

/** A client, and the ends of sessions that it reported. */
function client(options = {}) {
  const ends = [];
  const onSessionEnd = (problem) => ends.push(problem.code);
  const latchkey = new Latchkey(options.server ?? SERVER, { onSessionEnd, ...options });
  return Object.assign(latchkey, { ends });
}

/** A client whose user has registered. */
async function registered(options) {
  const latchkey = client(options);
  const username = newName();
  await latchkey.register({ username, password: PASSWORD });
  return Object.assign(latchkey, { username });
}

test("an account and its sessions", async () => {
  const phone = await registered({ device: "Phone", server: `${SERVER}/` });
  const { username } = phone;
  const tablet = client({ device: "Tablet" });
  const { account, session, ...more } = await tablet.logIn(username, PASSWORD);
  assert.deepEqual([account.username, session.device, more], [username, "Tablet", {}]);
  assert.match(await tablet.token(), /^[0-9a-f]{64}$/);
  const devices = (sessions) => sessions.map((each) => [each.device, each.current]).sort();
  assert.deepEqual(devices(await phone.sessions()), [
    ["Phone", true],
    ["Tablet", false],
  ]);

  assert.equal((await phone.changeAccount({ first_name: "Ada" })).first_name, "Ada");
  assert.equal((await phone.changeAccount({ first_name: null })).first_name, null);
  assert.equal((await tablet.account()).username, username);

  await phone.endSession(session.id);
  assert.equal((await caught(tablet.account())).code, "token_revoked");
  await tablet.logIn(username, PASSWORD);
  await phone.endOtherSessions();
  assert.deepEqual(devices(await phone.sessions()), [["Phone", true]]);
  await tablet.logIn(username, PASSWORD);
  await phone.endAllSessions();
  assert.deepEqual([await phone.token(), phone.ends], [null, []]);
  assert.equal((await caught(tablet.account())).code, "token_revoked");

  await phone.logIn(username, PASSWORD);
  assert.equal((await caught(phone.deleteAccount("wrong"))).code, "wrong_password");
  await phone.deleteAccount(PASSWORD);
  assert.deepEqual([await phone.token(), phone.ends], [null, []]);
  assert.equal((await caught(phone.logIn(username, PASSWORD))).code, "invalid_credentials");
});

test("the URL of a server, and a logout without a token", async () => {
  const urls = [];
  const respond = async (url) => urls.push(url) && new Response("{}");
  const latchkey = client({ server: "https://example.com/accounts//", fetch: respond });
  await latchkey.logOut();
  await latchkey.endAllSessions();
  await latchkey.account();
  assert.deepEqual(urls, ["https://example.com/accounts/v1/account"]);
});

test("an id that is not one of a session never becomes the path of all sessions", async () => {
  const latchkey = await registered();
  for (const id of ["", ".", "..", "current", undefined]) {
    assert.ok((await caught(latchkey.endSession(id))) instanceof TypeError);
  }
  assert.equal((await caught(latchkey.endSession("0123456789abcdef"))).code, "not_found");
  assert.equal((await latchkey.sessions()).length, 1);
});

test("fields that are wrong, and names that are taken", async () => {
  const { username } = await registered();
  const latchkey = client();
  const wrong = await caught(latchkey.register({ email: "ada", password: "12345" }));
  assert.ok(wrong instanceof InvalidFields && wrong instanceof Problem);
  assert.deepEqual(
    [wrong.name, wrong.status, wrong.code],
    ["InvalidFields", 422, "invalid_fields"],
  );
  assert.deepEqual(
    wrong.of("email").map((each) => each.code),
    ["invalid"],
  );
  assert.deepEqual(
    wrong.of("password").map((each) => each.code),
    ["too_short", "too_common"],
  );
  assert.deepEqual([wrong.of("username"), wrong.fields.length], [[], 3]);
  const taken = await caught(latchkey.register({ username, password: PASSWORD }));
  assert.ok(taken instanceof InvalidFields);
  assert.deepEqual([taken.code, taken.of("username")[0].code], ["taken", "taken"]);
  assert.deepEqual([await latchkey.token(), latchkey.ends], [null, []]);
});

test("a session that has ended is reported once, however many requests find out", async () => {
  const latchkey = await registered();
  const other = client();
  await other.logIn(latchkey.username, PASSWORD);
  await other.endAllSessions();
  const problems = await Promise.all(Array.from({ length: 10 }, () => caught(latchkey.account())));
  assert.ok(problems.every((problem) => problem instanceof Problem && problem.endsSession));
  assert.deepEqual([latchkey.ends, await latchkey.token()], [["token_revoked"], null]);
  assert.equal((await caught(latchkey.account())).code, "token_missing");
  assert.equal(latchkey.ends.length, 1);

  await latchkey.logIn(latchkey.username, PASSWORD);
  await other.logIn(latchkey.username, PASSWORD);
  await other.endAllSessions();
  await latchkey.logOut(); // has nothing left to end
  assert.deepEqual([latchkey.ends.length, await latchkey.token()], [1, null]);
});

test("a late 401 removes no newer token", async () => {
  const latchkey = await registered();
  const other = client();
  await other.logIn(latchkey.username, PASSWORD);
  await other.endAllSessions();
  let respond;
  const held = new Promise((resolve) => (respond = resolve));
  const storage = new MemoryStorage();
  storage.set(await latchkey.token());
  const slow = client({
    storage,
    fetch: async (...request) => {
      const response = await fetch(...request);
      await held;
      return response;
    },
  });
  const late = caught(slow.account());
  await sleep(50);
  storage.set("newer");
  respond();
  assert.equal((await late).code, "token_revoked");
  assert.deepEqual([storage.get(), slow.ends], ["newer", []]);
});

/** A client whose responses to a method arrive when `release` is called. */
function slowClient(method, storage) {
  let release;
  const released = new Promise((resolve) => (release = resolve));
  const latchkey = client({
    storage,
    fetch: async (url, init) => {
      const response = await fetch(url, init);
      if (init.method === method) await released;
      return response;
    },
  });
  return Object.assign(latchkey, { release });
}

test("what the app itself ends is not reported to it", async () => {
  const { username } = await registered();
  for (const [method, action] of [
    ["PUT", (latchkey) => latchkey.changePassword(PASSWORD, PASSWORD)],
    ["DELETE", (latchkey) => latchkey.logOut()],
    ["DELETE", (latchkey) => latchkey.endAllSessions()],
    ["POST", (latchkey) => latchkey.deleteAccount(PASSWORD)],
  ]) {
    const storage = new MemoryStorage();
    await client({ storage }).logIn(username, PASSWORD);
    const latchkey = slowClient(method, storage);
    const done = action(latchkey);
    await sleep(100); // the server has done it, and the response is on its way
    const late = caught(latchkey.account());
    await sleep(50);
    latchkey.release();
    await done;
    assert.equal((await late).code, "token_revoked");
    assert.deepEqual(latchkey.ends, []);
    assert.equal((await latchkey.token()) !== null, method === "PUT");
  }
});

test("a logout during a change of the password ends the new session", async () => {
  const { username } = await registered();
  const storage = new MemoryStorage();
  await client({ storage }).logIn(username, PASSWORD);
  const latchkey = slowClient("PUT", storage);
  const changed = latchkey.changePassword(PASSWORD, NEW_PASSWORD);
  await sleep(100);
  const loggedOut = latchkey.logOut();
  latchkey.release();
  const { id } = await changed;
  await loggedOut;
  assert.deepEqual([await latchkey.token(), latchkey.ends], [null, []]);
  await latchkey.logIn(username, NEW_PASSWORD);
  assert.ok(!(await latchkey.sessions()).some((session) => session.id === id));
});

test("an environment without reasons of signals, as React Native", async () => {
  const latchkey = await registered();
  const listeners = new Set();
  const signal = {
    aborted: false,
    addEventListener: (_, listener) => listeners.add(listener),
    removeEventListener: (_, listener) => listeners.delete(listener),
  };
  await latchkey.account({ signal });
  assert.equal(listeners.size, 0);
  await withServer(
    (request, response) => response.writeHead(503, { "Retry-After": "5" }).end(),
    async (server) => {
      const waiting = caught(client({ server }).account({ signal }));
      await sleep(100);
      signal.aborted = true;
      for (const listener of listeners) listener();
      const begin = Date.now();
      assert.equal((await waiting).name, "AbortError");
      assert.ok(Date.now() - begin < 1000);
      assert.equal(listeners.size, 0);
      assert.equal((await caught(client({ server }).account({ signal }))).name, "AbortError");
    },
  );
});

test("a wrong password logs nobody out", async () => {
  const latchkey = await registered();
  const token = await latchkey.token();
  assert.equal((await caught(latchkey.logIn(latchkey.username, "wrong"))).status, 401);
  const problem = await caught(latchkey.changePassword("wrong", NEW_PASSWORD));
  assert.deepEqual([problem.code, problem.endsSession], ["wrong_password", false]);
  assert.deepEqual([await latchkey.token(), latchkey.ends], [token, []]);
});

test("a new password has a new token, and ends the other sessions", async () => {
  const latchkey = await registered({ device: "Phone" });
  const old = await latchkey.token();
  const other = client();
  await other.logIn(latchkey.username, PASSWORD);
  const session = await latchkey.changePassword(PASSWORD, NEW_PASSWORD);
  assert.deepEqual([session.device, "token" in session], ["Phone", false]);
  assert.notEqual(await latchkey.token(), old);
  assert.equal((await latchkey.account()).username, latchkey.username);
  assert.equal((await caught(other.account())).code, "token_revoked");
});

test("the links in e-mails", async () => {
  const latchkey = client({ device: "Phone" });
  const [first, second] = [`${newName()}@example.com`, `${newName()}@example.com`];
  await latchkey.register({ email: first, password: PASSWORD });
  const link = await linkToken("verify", first);
  await latchkey.resendVerification();
  await linkToken("verify", first);
  assert.equal((await client().verifyEmail(link)).email_verified, true);
  await latchkey.changeEmail(second, PASSWORD);
  assert.equal((await client().verifyEmail(await linkToken("change", second))).email, second);

  await client().requestPasswordReset(second);
  const reset = await linkToken("reset", second);
  const phone = client({ device: "New phone" });
  await phone.checkPasswordReset(reset);
  const short = await caught(phone.resetPassword(reset, "1234"));
  assert.deepEqual(
    short.of("new").map((each) => each.code),
    ["too_short", "too_common"],
  );
  const { session } = await phone.resetPassword(reset, NEW_PASSWORD);
  assert.equal(session.device, "New phone");
  assert.equal((await phone.account()).email, second);
  assert.equal((await caught(phone.checkPasswordReset(reset))).code, "link_invalid");
  assert.equal((await caught(phone.verifyEmail("x"))).code, "link_invalid");
  assert.equal((await caught(latchkey.account())).code, "token_revoked");
});

test("pictures", async () => {
  const latchkey = await registered();
  const [picture] = await client().gallery();
  assert.equal(await latchkey.choosePicture(picture.id), picture.url);
  const bytes = await latchkey.uploadPicture(PIXEL);
  assert.equal((await latchkey.account()).picture, bytes);
  assert.notEqual(await latchkey.uploadPicture(new Blob([PIXEL], { type: "image/png" })), bytes);
  await latchkey.removePicture();
  assert.equal((await latchkey.account()).picture, null);
  const unusable = await caught(latchkey.uploadPicture(new Blob(["text"], { type: "image/png" })));
  assert.equal(unusable.of("picture")[0].code, "unsupported");
  assert.equal((await caught(latchkey.choosePicture(9999))).of("gallery")[0].code, "not_found");
});

test("a wait for Retry-After, its bound, and its end by a signal", async () => {
  const { username } = await registered();
  const hasty = client({ maxWait: 0 });
  let problem;
  while (problem === undefined) {
    await hasty.logIn(username, PASSWORD).catch((found) => (problem = found));
  }
  assert.deepEqual([problem.status, problem.code, hasty.ends], [429, "rate_limited", []]);
  assert.ok(problem.retryAfter >= 1);
  const leave = new AbortController();
  const reason = new Error("left the page");
  const ended = caught(client().logIn(username, PASSWORD, { signal: leave.signal }));
  setTimeout(() => leave.abort(reason), 50);
  assert.equal(await ended, reason);
  assert.equal(await caught(hasty.account({ signal: leave.signal })), reason);
  assert.equal((await client().logIn(username, PASSWORD)).account.username, username);
});

test("an outage is waited for, and keeps the token if it lasts", async () => {
  const latchkey = await registered({ maxWait: 2 });
  const token = await latchkey.token();
  const lasting = await without("redis", () => caught(latchkey.account()));
  assert.deepEqual([lasting.status, lasting.code, lasting.retryAfter], [503, "unavailable", 1]);
  const kept = await without("redis", () => caught(latchkey.logOut()));
  assert.equal(kept.code, "unavailable");
  assert.deepEqual([await latchkey.token(), latchkey.ends], [token, []]);
  await takeAway("redis");
  setTimeout(bringBack, 500, "redis");
  const patient = client({ storage: { get: () => token, set() {}, remove() {} } });
  assert.equal((await patient.account()).username, latchkey.username);
});

test("what is not Latchkey's response keeps the token", async () => {
  const storage = new MemoryStorage();
  storage.set("kept");
  const respond = (status, headers, text) => (request, response) => {
    response.writeHead(status, headers).end(text);
  };
  const html = { "Content-Type": "text/html" };
  for (const [listener, code, status] of [
    [respond(200, html, "<h1>Welcome to our Wi-Fi</h1>"), "unexpected_response"],
    [respond(302, { Location: SERVER }, ""), "unreachable"],
    [respond(401, html, "<h1>Log in to the proxy</h1>"), null, 401],
    [respond(401, {}, '{"code": "token"}'), "token", 401],
    [respond(503, html, "no Retry-After"), null, 503],
    [respond(503, { "Retry-After": "tomorrow" }, "null"), null, 503],
    [respond(503, { "Retry-After": new Date(Date.now() + 6e4).toUTCString() }, ""), null, 503],
    [(request) => request.socket.destroy(), "unreachable"],
    [() => {}, "timeout"],
    [(request, response) => response.write("{"), "timeout"],
  ]) {
    await withServer(listener, async (server) => {
      const latchkey = client({ server, storage, timeout: 0.3 });
      const problem = await caught(latchkey.account());
      assert.deepEqual([problem.code, problem.status], [code, status]);
      assert.equal(problem instanceof ConnectionProblem, status === undefined);
      assert.ok((await caught(latchkey.logOut())) instanceof Error);
      assert.deepEqual([storage.get(), latchkey.ends], ["kept", []]);
    });
  }
});

test("a response without a token is not a login", async () => {
  for (const body of [{}, { token: null }, { token: "two\nlines" }]) {
    await withServer(
      (request, response) => response.end(JSON.stringify(body)),
      async (server) => {
        const problem = await caught(client({ server }).logIn("ada", PASSWORD));
        assert.equal(problem.code, "unexpected_response");
      },
    );
  }
});

test("Retry-After as a date, and one of 0 s", async () => {
  for (const retryAfter of ["0", new Date(Date.now() + 1500).toUTCString()]) {
    let requests = 0;
    const begin = Date.now();
    await withServer(
      (request, response) => {
        if (++requests === 3) response.end("{}");
        else response.writeHead(503, { "Retry-After": retryAfter }).end();
      },
      (server) => client({ server }).account(),
    );
    assert.ok(requests === 3 && Date.now() - begin >= 2000);
  }
});

test("a stored text that no header can carry is removed, and never shown", async () => {
  const storage = new MemoryStorage();
  const latchkey = client({ storage });
  storage.set("secret\nvalue");
  const problem = await caught(latchkey.account());
  assert.deepEqual([problem.code, storage.get()], ["token_missing", null]);
  assert.deepEqual(latchkey.ends, ["token_missing"]);
  assert.ok(!shown(problem).includes("secret"));
});

test("no error and no object shows a token or a password", async () => {
  const latchkey = await registered();
  const token = await latchkey.token();
  const secrets = [token, PASSWORD, "Wrong-Password"];
  const storage = { get: () => token, set() {}, remove() {} };
  const found = [
    latchkey,
    await caught(latchkey.changePassword("Wrong-Password", PASSWORD)),
    await caught(latchkey.logIn(latchkey.username, "Wrong-Password")),
    await caught(client({ storage, server: "http://127.0.0.1:1" }).account()),
    await caught(client({ storage, server: "nonsense" }).account()),
  ];
  await latchkey.endAllSessions();
  found.push(await caught(client({ storage }).account()));
  await withServer(
    (request, response) => response.end(`{"account": {}, "token": "${token}`),
    async (server) => found.push(await caught(client({ server }).logIn("ada", PASSWORD))),
  );
  for (const each of found) {
    assert.deepEqual(
      secrets.filter((secret) => shown(each).includes(secret)),
      [],
    );
  }
});

test("storages", async () => {
  const items = new Map();
  const sync = {
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: (key) => void items.delete(key),
  };
  const slowly =
    (action) =>
    async (...values) =>
      sleep(5).then(() => action(...values));
  const react = Object.fromEntries(
    Object.entries(sync).map(([name, each]) => [name, slowly(each)]),
  );
  const secure = {
    getItemAsync: react.getItem,
    setItemAsync: react.setItem,
    deleteItemAsync: react.removeItem,
  };
  const kinds = [
    new ItemStorage(sync),
    new ItemStorage(react, "key"),
    new SecureStorage(secure),
    new SecureStorage(secure, "key"),
  ];
  for (const [index, storage] of kinds.entries()) {
    const latchkey = await registered({ storage });
    assert.deepEqual([...items.keys()], [index % 2 ? "key" : "latchkey.token"]);
    const next = client({ storage }); // after a restart of the app, or in another tab
    assert.equal((await next.account()).username, latchkey.username);
    await next.logOut();
    assert.equal(items.size, 0);
    assert.equal((await caught(latchkey.account())).code, "token_missing");
    assert.deepEqual([latchkey.ends, next.ends], [["token_missing"], []]);
    await next.logIn(latchkey.username, PASSWORD);
    await next.endAllSessions();
  }
});
