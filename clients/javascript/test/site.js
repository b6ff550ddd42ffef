// The server of the tests, and what tests/clients/javascript/conftest.py does to it.

import { createServer } from "node:http";
import { inspect } from "node:util";

export const SERVER = process.env.LATCHKEY_URL;
export const PASSWORD = "Analytical-Engine-1843";
export const NEW_PASSWORD = "Difference-Engine-1822";

const CONTROL = process.env.CONTROL_URL;
let names = 0;

export const newName = () => `user${process.pid}-${++names}`;
export const takeAway = (store) => control("PUT", `/outages/${store}`);
export const bringBack = (store) => control("DELETE", `/outages/${store}`);
export const linkToken = (kind, address) => control("GET", `/mail/${kind}/${address}`);

async function control(method, path) {
  const response = await fetch(CONTROL + path, { method });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status}`);
  return response.text();
}

/** Run an action while a store is unavailable. */
export async function without(store, action) {
  await takeAway(store);
  try {
    return await action();
  } finally {
    await bringBack(store);
  }
}

/** Return what a promise is rejected with. */
export async function caught(promise) {
  const found = await promise.then(
    (value) => [value],
    (error) => error,
  );
  if (Array.isArray(found)) throw new Error(`not rejected: ${inspect(found[0])}`);
  return found;
}

/** All that a log can show of something. */
export const shown = (value) => inspect(value, { depth: 9, showHidden: true }) + value.stack;

/** Run an action with the URL of another server. */
export async function withServer(listener, action) {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  try {
    return await action(`http://127.0.0.1:${server.address().port}`, server);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
