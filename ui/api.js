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
  // Another link that is opened in this tab changes only what stands behind the #.
  addEventListener("hashchange", () => location.reload());
  return token;
}

// Return {ok, status, code, errors, ...} of a request; never throws.
export async function send(method, path, content, authorization = {}) {
  try {
    const response = await fetch(new URL(path, BASE), {
      method,
      headers: { "Content-Type": "application/json", ...authorization },
      body: content && JSON.stringify(content),
      credentials: "omit",
      cache: "no-store",
      keepalive: true, // also when the page is closed meanwhile
    });
    // A proxy's own error page is not JSON.
    const data = await response.json().catch(() => ({ code: "unavailable" }));
    return { ...data, ok: response.ok, status: response.status };
  } catch {
    return { ok: false, code: "offline" };
  }
}

// Send the token of a link. What cannot be a token, or is none, is a link that is not valid.
export async function useLink(path, token, content = {}) {
  const invalid = { ok: false, code: "link_invalid" };
  if (!token) return invalid;
  const result = await send("POST", path, { token, ...content });
  const isNoToken = result.errors?.some((error) => error.field === "token");
  return isNoToken ? invalid : result;
}

export function isDeadLink(result) {
  return result.code === "link_invalid" || result.code === "link_expired";
}

export function messageOf(result) {
  const [first] = result.errors ?? [];
  return first?.message ?? MESSAGES[result.code] ?? "Something went wrong. Try again later.";
}

export function show(id, isShown) {
  document.getElementById(id).hidden = !isShown;
}

export function say(text, kind = "") {
  const status = document.getElementById("status");
  status.textContent = text;
  status.className = kind;
}

// Call `act` now, and whenever "Try again" is chosen; the button is shown if it returns true.
export async function retryable(act) {
  const button = document.getElementById("again");
  async function run() {
    button.hidden = true;
    say("Checking the link…");
    button.hidden = !(await act());
  }
  button.addEventListener("click", run);
  await run();
}

// Call `act` when a form is submitted, once at a time.
export function onSubmit(form, act) {
  const button = form.querySelector("button");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    await act();
    button.disabled = false;
  });
}
