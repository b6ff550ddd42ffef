// What the pages share: requests to the API, the token of a link, and texts for errors.

const BASE = new URL("../latchkey/v1/", import.meta.url);

const MESSAGES = {
  link_invalid: "This link was used already, or is not valid any more.",
  link_expired: "This link has expired.",
  rate_limited: "There were too many attempts. Try again later.",
  unavailable: "The service is temporarily unavailable. Try again in a moment.",
  offline: "The server cannot be reached. Check your connection and try again.",
};

// The token stands behind the # of the link, which no server, proxy or Referer header gets to see.
// It is removed from the address bar, so that it is in neither the history nor a screenshot.
export function takeToken() {
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  return token;
}

// Return {ok, status, code, errors, ...} of a POST; never throws.
export async function post(path, content) {
  let response;
  try {
    response = await fetch(new URL(path, BASE), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(content),
      credentials: "omit",
      cache: "no-store",
    });
  } catch {
    return { ok: false, code: "offline" };
  }
  const text = await response.text();
  const data = text ? JSON.parse(text) : {};
  return { ...data, ok: response.ok, status: response.status };
}

export function messageOf(problem) {
  const [first] = problem.errors ?? [];
  return first?.message ?? MESSAGES[problem.code] ?? "Something went wrong. Try again later.";
}

export function show(id, isShown) {
  document.getElementById(id).hidden = !isShown;
}

export function say(text, kind = "") {
  const status = document.getElementById("status");
  status.textContent = text;
  status.className = kind;
}
