// Errors of the app's side. Codes: docs/errors.md in Latchkey's repository.
// None of them contains a token, a password or any other text of a request.

/** The server rejected the request, or a proxy did. */
export class Problem extends Error {
  constructor(status, headers, body) {
    super(typeof body.title === "string" ? body.title : `HTTP ${status}`);
    this.name = "Problem";
    this.status = status;
    this.code = typeof body.code === "string" ? body.code : null;
    this.retryAfter = secondsOf(headers.get("Retry-After"));
    this.requestId = headers.get("X-Request-ID");
  }

  /** Only a 401 with these codes means that the token is not valid. */
  get endsSession() {
    return this.status === 401 && this.code !== null && this.code.startsWith("token_");
  }
}

/** Fields are wrong (`invalid_fields`), or their values are taken (`taken`). */
export class InvalidFields extends Problem {
  constructor(status, headers, body) {
    super(status, headers, body);
    this.name = "InvalidFields";
    this.fields = body.errors;
  }

  of(field) {
    return this.fields.filter((each) => each.field === field);
  }
}

/** There was no response of Latchkey. A request that changes something may have had its effect. */
export class ConnectionProblem extends Error {
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = "ConnectionProblem";
    this.code = code;
  }
}

/** Return the problem of a response and its text, which a proxy may have written. */
export function problemOf({ status, headers }, text) {
  const body = objectOf(text) ?? {};
  const kind = Array.isArray(body.errors) ? InvalidFields : Problem;
  return new kind(status, headers, body);
}

/** Return the object that a text is in JSON, or null. An error of JSON.parse quotes the text. */
export function objectOf(text) {
  try {
    const found = JSON.parse(text);
    return typeof found === "object" ? found : null;
  } catch {
    return null;
  }
}

function secondsOf(retryAfter) {
  if (retryAfter === null) return null;
  const isNumber = /^\d+$/.test(retryAfter);
  const seconds = isNumber ? Number(retryAfter) : (Date.parse(retryAfter) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? null : Math.max(seconds, 0);
}
