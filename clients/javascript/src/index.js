// The app's side, for browsers, Node.js and React Native: docs/contracts/latchkey.md.

import { ConnectionProblem, InvalidFields, Problem, objectOf, problemOf } from "./problems.js";
import { ItemStorage, MemoryStorage, SecureStorage } from "./storage.js";

export { ConnectionProblem, InvalidFields, ItemStorage, MemoryStorage, Problem, SecureStorage };

const SENDABLE = /^[\w.~+/=-]+$/; // fetch quotes any other value of a header in its error
const SESSION_ID = /^[0-9a-f]{16}$/;
const REPEATED = new Set([429, 503]);

export class Latchkey {
  #server;
  #storage;
  #device;
  #onSessionEnd;
  #maxWait;
  #timeout;
  #fetch;
  #lastChange = Promise.resolve();
  #isEnded = false;

  constructor(server, options = {}) {
    const { fetch = globalThis.fetch } = options;
    this.#server = server.replace(/\/+$/, "");
    this.#storage = options.storage ?? new MemoryStorage();
    this.#device = options.device ?? null;
    this.#onSessionEnd = options.onSessionEnd ?? (() => {});
    this.#maxWait = options.maxWait ?? 10;
    this.#timeout = options.timeout ?? 30;
    this.#fetch = (url, init) => fetch(url, init); // a browser's fetch must not be a method
  }

  async token() {
    return (await this.#storage.get()) ?? null;
  }

  register(fields, options) {
    return this.#open("/v1/accounts", { device: this.#device, ...fields }, options);
  }

  logIn(login, password, options) {
    return this.#open("/v1/sessions", { login, password, device: this.#device }, options);
  }

  logOut(options) {
    return this.#end("/v1/sessions/current", options);
  }

  async sessions(options) {
    return (await this.#request("GET", "/v1/sessions", options)).sessions;
  }

  async endSession(id, options) {
    // The path of an empty id, or of ".", is that of all sessions.
    if (!SESSION_ID.test(id)) throw new TypeError("A session's id has 16 hexadecimal digits.");
    await this.#request("DELETE", `/v1/sessions/${id}`, options);
  }

  async endOtherSessions(options) {
    await this.#request("DELETE", "/v1/sessions?keep=current", options);
  }

  endAllSessions(options) {
    return this.#end("/v1/sessions", options);
  }

  account(options) {
    return this.#request("GET", "/v1/account", options);
  }

  changeAccount(fields, options) {
    return this.#request("PATCH", "/v1/account", { ...options, fields });
  }

  deleteAccount(password, options) {
    const fields = { password };
    return this.#authenticate((token) =>
      this.#change(async () => {
        await this.#send("POST", "/v1/account/deletion", token, { ...options, fields });
        await this.#remove(token);
      }),
    );
  }

  async changePassword(current, password, options) {
    const fields = { current, new: password };
    const send = (token) =>
      this.#send("PUT", "/v1/account/password", token, { ...options, fields });
    return (await this.#authenticate((token) => this.#keep(() => send(token)))).session;
  }

  async changeEmail(email, password, options) {
    await this.#request("PUT", "/v1/account/email", { ...options, fields: { email, password } });
  }

  async resendVerification(options) {
    await this.#request("POST", "/v1/account/email/verification", options);
  }

  async verifyEmail(linkToken, options) {
    const fields = { token: linkToken };
    return (await this.#post("/v1/email-verifications", fields, options)).account;
  }

  async requestPasswordReset(email, options) {
    await this.#post("/v1/password-resets", { email }, options);
  }

  async checkPasswordReset(linkToken, options) {
    await this.#post("/v1/password-resets/check", { token: linkToken }, options);
  }

  resetPassword(linkToken, password, options) {
    const fields = { token: linkToken, new: password, device: this.#device };
    return this.#open("/v1/password-resets/confirm", fields, options);
  }

  async gallery(options) {
    return (await this.#send("GET", "/v1/gallery", null, options)).pictures;
  }

  async choosePicture(id, options) {
    const fields = { gallery: id };
    return (await this.#request("PUT", "/v1/account/picture", { ...options, fields })).picture;
  }

  async uploadPicture(image, options) {
    const picture = { body: image, type: image.type || "application/octet-stream" };
    return (await this.#request("PUT", "/v1/account/picture", { ...options, ...picture })).picture;
  }

  async removePicture(options) {
    await this.#request("DELETE", "/v1/account/picture", options);
  }

  #post(path, fields, options) {
    return this.#send("POST", path, null, { ...options, fields });
  }

  #request(method, path, options) {
    return this.#authenticate((token) => this.#send(method, path, token, options));
  }

  /** Do something with the stored token. If that has ended, remove it and tell the app. */
  async #authenticate(action) {
    const token = await this.token();
    try {
      return await action(token);
    } catch (problem) {
      const isEnd = problem instanceof Problem && problem.endsSession;
      if (isEnd && (await this.#change(() => this.#remove(token)))) this.#onSessionEnd(problem);
      throw problem;
    }
  }

  /**
   * Run what changes the stored token, with its request, when earlier changes are done. So a
   * request that fails because the token was just replaced sees the new one, and logs nobody out.
   */
  #change(action) {
    const changed = this.#lastChange.then(action);
    this.#lastChange = changed.catch(() => {});
    return changed;
  }

  #open(path, fields, options) {
    return this.#keep(() => this.#post(path, fields, options));
  }

  /** Store the token of a response, and return the rest of it. */
  #keep(send) {
    return this.#change(async () => {
      const { token, ...opened } = await send();
      if (typeof token !== "string" || !SENDABLE.test(token)) throw unexpected();
      await this.#storage.set(token);
      this.#isEnded = false;
      return opened;
    });
  }

  /** End sessions, this one among them. If it had ended before, that is no error. */
  #end(path, options) {
    return this.#change(async () => {
      const token = await this.token();
      if (token === null) return;
      try {
        await this.#send("DELETE", path, token, options);
      } catch (problem) {
        if (!problem.endsSession) throw problem;
      }
      await this.#remove(token);
    });
  }

  /** Within a change: remove a token if it is still stored. Return whether that is news. */
  async #remove(token) {
    if ((await this.token()) !== token) return false;
    if (token !== null) await this.#storage.remove();
    const isNews = token !== null || !this.#isEnded;
    this.#isEnded = true;
    return isNews;
  }

  /** Send a request, again after a 429 or 503 that asks for it. Return the body of the response. */
  async #send(method, path, token, options = {}) {
    const { fields, body = fields && JSON.stringify(fields), signal } = options;
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = options.type ?? "application/json";
    if (token !== null && SENDABLE.test(token)) headers.Authorization = `Bearer ${token}`;
    const init = {
      method,
      headers,
      body,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    };
    for (let left = this.#maxWait; ;) {
      const [response, text] = await this.#sendOnce(path, init, options);
      if (response.ok) {
        const found = response.status === 204 ? {} : objectOf(text);
        if (found === null) throw unexpected();
        return found;
      }
      const problem = problemOf(response, text);
      const wait = Math.max(problem.retryAfter ?? Infinity, 1);
      if (!REPEATED.has(problem.status) || wait > left) throw problem;
      left -= wait;
      await sleep(wait, signal);
    }
  }

  /** Return the response and its text. React Native has no AbortSignal.any. */
  async #sendOnce(path, init, { signal, timeout = this.#timeout }) {
    if (signal?.aborted) throw reasonOf(signal);
    const controller = new AbortController();
    const abort = () => controller.abort();
    signal?.addEventListener("abort", abort);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      abort();
    }, timeout * 1000);
    try {
      const url = this.#server + path;
      const response = await this.#fetch(url, { ...init, signal: controller.signal });
      return [response, await response.text()];
    } catch (error) {
      if (signal?.aborted) throw reasonOf(signal);
      if (isLate) throw new ConnectionProblem("timeout", `No response in ${timeout} s.`, error);
      throw new ConnectionProblem("unreachable", "The server cannot be reached.", error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }
}

function unexpected() {
  return new ConnectionProblem("unexpected_response", "The response is not one of Latchkey.");
}

function sleep(seconds, signal) {
  return new Promise((resolve, reject) => {
    const finish = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", finish);
      if (signal?.aborted) reject(reasonOf(signal));
      else resolve();
    };
    const timer = setTimeout(finish, seconds * 1000);
    signal?.addEventListener("abort", finish);
    if (signal?.aborted) finish();
  });
}

function reasonOf(signal) {
  return (
    signal.reason ?? Object.assign(new Error("The request was aborted."), { name: "AbortError" })
  );
}
