// A client of Latchkey's API for web pages and Node.js 18 or later; no packages.
// Guide: docs/own-api.md. The project's tests run this file, also against a 429 and a 503.
// To try it: node latchkey.mjs http://127.0.0.1:8000

const ATTEMPTS = 3;
const LONGEST_WAIT = 10; // seconds; if the server asks for more, the app tells the user

export class Problem extends Error {
  constructor(response, body) {
    super(body.title ?? `HTTP ${response.status}`);
    this.status = response.status;
    this.code = body.code; // a row of docs/errors.md, or undefined if a proxy responded
    this.fields = body.errors ?? []; // {field, code, message}: show them beside the fields
    this.retryAfter = Number(response.headers.get("Retry-After")); // seconds, with 429 and 503
  }

  get endsSession() {
    return this.status === 401 && Boolean(this.code?.startsWith("token_"));
  }
}

export class Latchkey {
  // `token` is what the app has stored, or null. `save` stores a new one, and deletes it for null.
  constructor(server, token = null, save = () => {}) {
    this.server = server;
    this.token = token;
    this.save = save;
  }

  register(fields) {
    return this.#open("/v1/accounts", fields);
  }

  logIn(login, password, device = null) {
    return this.#open("/v1/sessions", { login, password, device });
  }

  account() {
    return this.#request("GET", "/v1/account");
  }

  async logOut() {
    try {
      await this.#request("DELETE", "/v1/sessions/current");
    } catch (problem) {
      if (!problem.endsSession) throw problem; // otherwise the session had ended before
    }
    this.#keep(null);
  }

  async #open(path, fields) {
    const { account, token } = await this.#request("POST", path, fields);
    this.#keep(token);
    return account;
  }

  #keep(token) {
    this.token = token;
    this.save(token);
  }

  async #request(method, path, fields) {
    const token = this.token;
    const headers = {};
    if (fields) headers["Content-Type"] = "application/json";
    if (token) headers.Authorization = `Bearer ${token}`;
    for (let attempt = 1; ; attempt++) {
      const body = fields && JSON.stringify(fields);
      const response = await fetch(this.server + path, { method, headers, body });
      if (response.ok) return response.status === 204 ? null : response.json();
      const problem = new Problem(response, await response.json().catch(() => ({})));
      const wait = [429, 503].includes(problem.status) && problem.retryAfter;
      if (wait && wait <= LONGEST_WAIT && attempt < ATTEMPTS) {
        await new Promise((resolve) => setTimeout(resolve, wait * 1000));
        continue;
      }
      // Another login may have replaced the token that this request was sent with.
      if (problem.endsSession && this.token === token) this.#keep(null);
      throw problem;
    }
  }
}

async function tryIt(server) {
  const latchkey = new Latchkey(server);
  const name = `guest-${Date.now()}`;
  const report = (problem) => {
    console.log(problem.message);
    for (const each of problem.fields) console.log(`  ${each.field}: ${each.message}`);
    if (problem.endsSession) console.log("  Show the login.");
    else if (problem.retryAfter) console.log(`  Try again in ${problem.retryAfter} s.`);
  };
  try {
    await latchkey.register({ username: name, password: "1234" }).catch(report);
    await latchkey.register({ username: name, password: "first engine 1843", device: "Sample" });
    await latchkey.logOut();
    await latchkey.logIn(name, "first engine 1843", "Sample");
    console.log(`Logged in as ${(await latchkey.account()).username}.`);
    await latchkey.logOut();
    await latchkey.account(); // without a token, so that the login is shown
  } catch (problem) {
    report(problem);
  }
}

if (globalThis.process?.argv[1]?.endsWith("latchkey.mjs")) await tryIt(process.argv[2]);
