// Every method with its types, compiled by `tsc --strict` and run against a real server.

import assert from "node:assert/strict";

import {
  type Account,
  type ClientOptions,
  ConnectionProblem,
  InvalidFields,
  ItemStorage,
  Latchkey,
  MemoryStorage,
  Problem,
  SecureStorage,
  type Session,
  type TokenStorage,
} from "@latchkey/client";
import { type Caller, Verifier } from "@latchkey/client/server";

const server = process.env["LATCHKEY_URL"];
const control = process.env["CONTROL_URL"];
if (server === undefined) throw new Error("LATCHKEY_URL is not set");
const password = "Analytical-Engine-1843";
const email = `typed-${process.pid}@example.com`;
const link = async (kind: string, address: string): Promise<string> =>
  (await fetch(`${control}/mail/${kind}/${address}`)).text();

const items = new Map<string, string>();
const storages: TokenStorage[] = [
  new MemoryStorage(),
  new SecureStorage({
    getItemAsync: async (key) => items.get(key) ?? null,
    setItemAsync: async (key, value) => void items.set(key, value),
    deleteItemAsync: async (key) => void items.delete(key),
  }),
  new ItemStorage({
    getItem: (key) => items.get(key) ?? null,
    setItem: (key, value) => items.set(key, value),
    removeItem: (key) => items.delete(key),
  }),
];
const ends: (string | null)[] = [];
const [storage] = storages;
assert.ok(storage);
const options: ClientOptions = {
  storage,
  device: "Sample",
  onSessionEnd: (problem) => void ends.push(problem.code),
  maxWait: 5,
  timeout: 5,
  fetch,
};
const latchkey = new Latchkey(server, options);
const signal = AbortSignal.timeout(20_000);

try {
  await latchkey.register({ email: "ada", password: "1234" });
  assert.fail();
} catch (problem) {
  assert.ok(problem instanceof InvalidFields && problem instanceof Problem);
  assert.ok(!(problem instanceof ConnectionProblem));
  const codes: string[] = problem.of("password").map((each) => each.code);
  assert.deepEqual(codes, ["too_short", "too_common"]);
  assert.deepEqual(
    [problem.code, problem.retryAfter, problem.endsSession],
    ["invalid_fields", null, false],
  );
  assert.equal(typeof problem.requestId, "string");
}

const { account, session } = await latchkey.register({ email, password }, { signal, timeout: 5 });
const id: number = account.id;
const label: string | null = session.device;
assert.ok(id > 0 && label === "Sample" && account.username === null);
const token = await latchkey.token();
const verified: Account = await latchkey.verifyEmail(await link("verify", email));
assert.equal(verified.email_verified, true);
await latchkey.resendVerification();
await latchkey.changeEmail(`new-${email}`, password);
assert.equal(
  (await latchkey.verifyEmail(await link("change", `new-${email}`))).email,
  `new-${email}`,
);
assert.equal((await latchkey.changeAccount({ last_name: "Lovelace" })).last_name, "Lovelace");

const gallery = await latchkey.gallery();
assert.ok(gallery[0]);
const picture: string = await latchkey.choosePicture(gallery[0].id);
assert.equal(picture, gallery[0].url);
for (const image of [new Blob(["x"]), new ArrayBuffer(1), new Uint8Array(1)]) {
  await assert.rejects(latchkey.uploadPicture(image), InvalidFields);
}
await latchkey.removePicture();

const open: Session[] = await latchkey.sessions();
assert.equal(open.length, 1);
await assert.rejects(latchkey.endSession("0123456789abcdef"), { code: "not_found" });
await latchkey.endOtherSessions({ signal });

const verifier = new Verifier(server, { timeout: 3, connections: 2, onUnavailable: console.error });
const { account: caller, refusal } = await verifier.verify(`Bearer ${token}`, { isOptional: true });
const known: Caller | null = caller;
assert.ok(known !== null && known.id === id && known.session.kind === "device" && refusal === null);
const refused = await verifier.verify(undefined);
assert.ok(refused.refusal !== null && refused.refusal.status === 401);
verifier.close();

const changed: Session = await latchkey.changePassword(password, `${password}-2`);
assert.equal(changed.current, true);
await latchkey.requestPasswordReset(`new-${email}`);
const reset = await link("reset", `new-${email}`);
await latchkey.checkPasswordReset(reset);
const opened = await latchkey.resetPassword(reset, password);
assert.equal(opened.session.current, true);
await latchkey.logOut();
await latchkey.logIn(`new-${email}`, password);
await latchkey.endAllSessions();
await latchkey.logIn(`new-${email}`, password);
await latchkey.deleteAccount(password);
assert.deepEqual([await latchkey.token(), ends], [null, []]);

// What the types must not allow.
export const wrong = (): unknown[] => [
  // @ts-expect-error: no password
  latchkey.register({ username: "ada" }),
  // @ts-expect-error: the server removes no username
  latchkey.changeAccount({ username: null }),
  // @ts-expect-error: it may be null
  caller.id,
  // @ts-expect-error: an unknown option
  new Latchkey(server, { retries: 3 }),
  // @ts-expect-error: a storage needs all three methods
  new Latchkey(server, { storage: { get: () => null } }),
];
