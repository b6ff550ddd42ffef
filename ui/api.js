// Requests to the API. No request has cookies: the token is sent by session.js only.

const BASE = new URL("../latchkey/v1/", import.meta.url);

// Return {ok, status, code, errors, retryAfter, ...content} of a request; never throws.
// `content` is sent as JSON, and a Blob as it is. `path` is relative to the API's /v1/.
export async function send(method, path, content, more = {}) {
  const isFile = content instanceof Blob;
  try {
    const response = await fetch(new URL(path, BASE), {
      method,
      headers: { "Content-Type": isFile ? content.type : "application/json", ...more },
      body: isFile ? content : content && JSON.stringify(content),
      credentials: "omit",
      cache: "no-store",
      keepalive: !isFile, // also when the page is closed before the response; only short bodies
    });
    // A proxy's own error page is not JSON.
    const data = await response.json().catch(() => ({ code: codeOf(response.status) }));
    const retryAfter = Number(response.headers.get("Retry-After")) || undefined;
    return { ...data, ok: response.ok, status: response.status, retryAfter };
  } catch {
    return { ok: false, code: "offline" };
  }
}

function codeOf(status) {
  return { 413: "payload_too_large", 429: "rate_limited" }[status] ?? "unavailable";
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

// The token stands behind the # of the link, which no server, proxy or Referer header gets to see.
// It is removed from the address bar, so that it is in neither the history nor a screenshot.
export function takeToken() {
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  // Another link that is opened in this tab changes only what stands behind the #.
  addEventListener("hashchange", () => location.reload());
  return token;
}

const PICTURE = /\/pictures\/([\w-]{22})$/;

// Return the URL of a picture at this server, null for none. PUBLIC_URL may name another host,
// from which the page may not load anything.
export function pictureAt(url, size = 256) {
  const found = PICTURE.exec(url ?? "");
  return found && new URL(`../pictures/${found[1]}?size=${size}`, import.meta.url).href;
}
