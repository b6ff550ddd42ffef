// Who sends a request to a back end: docs/contracts/service.md#forward-authentication.

import http from "node:http";
import https from "node:https";

const MORE_THAN_A_BODY = 65536; // bytes
const UNAVAILABLE = JSON.stringify({ detail: "The service is temporarily unavailable." });

export class Verifier {
  #url;
  #transport;
  #agent;
  #timeout;
  #onUnavailable;

  constructor(url, { timeout = 3, connections = 100, onUnavailable = () => {} } = {}) {
    this.#url = `${url.replace(/\/+$/, "")}/verify`;
    this.#transport = new URL(this.#url).protocol === "https:" ? https : http;
    this.#agent = new this.#transport.Agent({ keepAlive: true, maxSockets: connections });
    this.#timeout = timeout;
    this.#onUnavailable = onUnavailable;
  }

  async verify(authorization, { isOptional = false } = {}) {
    if (isOptional && !authorization) return { account: null, refusal: null };
    let reason;
    let response;
    try {
      response = await this.#ask(authorization, isOptional);
      const outcome = outcomeOf(response, isOptional);
      if (outcome) return outcome;
      reason = new Error(`${this.#url} responded with ${response.status}.`);
    } catch (error) {
      reason = new Error(`${this.#url} cannot be used.`, { cause: error });
    }
    this.#onUnavailable(reason);
    return { account: null, refusal: unavailable(response) };
  }

  close() {
    this.#agent.destroy();
  }

  /** Send a request; repeat it if the server closed the idle connection that it was sent on. */
  async #ask(authorization, isOptional) {
    const cancel = new AbortController();
    const timer = setTimeout(() => cancel.abort(), this.#timeout * 1000);
    const headers = authorization ? { authorization } : {};
    const url = isOptional ? `${this.#url}?optional=1` : this.#url;
    const options = { agent: this.#agent, headers, signal: cancel.signal };
    try {
      for (;;) {
        try {
          return await new Promise((resolve, reject) => {
            const request = this.#transport.get(url, options, (response) => {
              read(response).then(resolve, reject);
            });
            request.on("error", (error) => {
              error.isRepeatable = request.reusedSocket && error.code === "ECONNRESET";
              reject(error);
            });
          });
        } catch (error) {
          if (!error.isRepeatable) throw error;
        }
      }
    } finally {
      clearTimeout(timer);
    }
  }
}

async function read(response) {
  const chunks = [];
  let size = 0;
  for await (const chunk of response) {
    size += chunk.length;
    if (size > MORE_THAN_A_BODY) throw new Error("The response is too long.");
    chunks.push(chunk);
  }
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

/** Return what a response of /verify says, undefined if it is not one of Latchkey's. */
function outcomeOf({ status, headers, body }, isOptional) {
  const scheme = headers["www-authenticate"];
  if (status === 401 && /^(bearer|token)\b/i.test(scheme)) {
    const type = headers["content-type"] ?? "text/plain"; // undefined cannot be sent
    const named = { "Content-Type": type, "WWW-Authenticate": scheme };
    return { account: null, refusal: refusal(401, named, body) };
  }
  if (status === 431) {
    const named = { "Content-Type": headers["content-type"] ?? "text/plain" };
    return { account: null, refusal: refusal(431, named, body) };
  }
  if (status !== 200) return undefined;
  const id = headers["x-account-id"];
  if (id === undefined && isOptional) return { account: null, refusal: null };
  // A larger number may be rounded to the id of another account.
  const isExact = /^\d+$/.test(id) && Number.isSafeInteger(Number(id));
  return isExact ? { account: accountOf(Number(id), headers), refusal: null } : undefined;
}

function accountOf(id, headers) {
  const text = (name) => (name in headers ? decodeURIComponent(headers[name]) : null);
  return {
    id,
    username: text("x-account-username"),
    email: text("x-account-email"),
    email_verified: "x-account-email-verified" in headers,
    is_staff: "x-account-staff" in headers,
    is_superuser: "x-account-superuser" in headers,
    session: {
      id: headers["x-session-id"],
      dialect: headers["x-session-dialect"],
      kind: headers["x-session-kind"],
    },
  };
}

/** An outage is a 503 and never a 401: an app would delete a valid token. */
function unavailable(response) {
  const isOutage = response?.status === 503;
  const headers = {
    "Content-Type": (isOutage && response.headers["content-type"]) || "application/json",
    "Retry-After": (isOutage && response.headers["retry-after"]) || "1",
  };
  return refusal(503, headers, isOutage ? response.body : UNAVAILABLE);
}

function refusal(status, headers, body) {
  return { status, headers: { ...headers, "Cache-Control": "no-store" }, body: body.toString() };
}
