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
  #lastChange = Promise.resolve(); // of the storage: changes wait for each other
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
    return this.#end("DELETE", "/v1/sessions/current", options);
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
    return this.#end("DELETE", "/v1/sessions", options);
  }

  account(options) {
    return this.#request("GET", "/v1/account", options);
  }

  changeAccount(fields, options) {
    return this.#request("PATCH", "/v1/account", { ...options, fields });
  }

  async deleteAccount(password, options) {
    const token = await this.token();
    await this.#request("POST", "/v1/account/deletion", {
      ...options,
      token,
      fields: { password },
    });
    await this.#forget(token);
  }

  async changePassword(current, password, options) {
    const fields = { current, new: password };
    const opened = await this.#request("PUT", "/v1/account/password", { ...options, fields });
    return (await this.#keep(opened)).session;
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
    return (await this.#request("GET", "/v1/gallery", { ...options, token: null })).pictures;
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

  /** Send a request that needs no token, and keep the token of the response. */
  async #open(path, fields, options) {
    return this.#keep(await this.#post(path, fields, options));
  }

  #post(path, fields, options) {
    return this.#request("POST", path, { ...options, token: null, fields });
  }

  /** End sessions, this one among them. If it had ended before, that is no error. */
  async #end(method, path, options) {
    const token = await this.token();
    if (token === null) return;
    try {
      await this.#request(method, path, { ...options, token, isEnd: true });
    } catch (problem) {
      if (!problem.endsSession) throw problem;
    }
    await this.#forget(token);
  }

  async #keep({ token, ...opened }) {
    if (typeof token !== "string" || !SENDABLE.test(token)) throw unexpected();
    await this.#change(async () => {
      await this.#storage.set(token);
      this.#isEnded = false;
    });
    return opened;
  }

  /** Remove a token if it is still stored. Return whether the app does not know of that end. */
  #forget(token) {
    return this.#change(async () => {
      if ((await this.token()) !== token) return false;
      if (token !== null) await this.#storage.remove();
      const isNew = token !== null || !this.#isEnded;
      this.#isEnded = true;
      return isNew;
    });
  }

  #change(action) {
    const changed = this.#lastChange.then(action);
    this.#lastChange = changed.catch(() => {});
    return changed;
  }

  /** Send a request. Its token is the stored one, unless `token` is null or another one. */
  async #request(method, path, options = {}) {
    const { fields, body = fields && JSON.stringify(fields), signal, isEnd } = options;
    const needsToken = options.token !== null;
    const token = options.token === undefined ? await this.token() : options.token;
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
    const timeout = options.timeout ?? this.#timeout;
    for (let left = this.#maxWait; ;) {
      const [response, text] = await this.#send(path, init, signal, timeout);
      if (response.ok) {
        const found = response.status === 204 ? {} : objectOf(text);
        if (found === null) throw unexpected();
        return found;
      }
      const problem = problemOf(response, text);
      const wait = Math.max(problem.retryAfter ?? Infinity, 1);
      if (REPEATED.has(problem.status) && wait <= left) {
        left -= wait;
        await sleep(wait, signal);
        continue;
      }
      if (needsToken && !isEnd && problem.endsSession && (await this.#forget(token))) {
        this.#onSessionEnd(problem);
      }
      throw problem;
    }
  }

  /** Send a request once; return the response and its text. React Native has no AbortSignal.any. */
  async #send(path, init, signal, timeout) {
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
