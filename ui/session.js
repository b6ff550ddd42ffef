// The token of the user who is signed in.
//
// It is in sessionStorage: only this tab has it, until it is closed. With "Stay signed in" it is
// in localStorage: every tab has it, until the user signs out. It is never in a cookie, so a
// browser sends it with no request but those made here, and other sites cannot use it.

import { send } from "./api.js";
import { forget, keep, keyOf, recall } from "./storage.js";

let TOKEN = "token";

// Have this page keep its token under another name: it is signed in by itself.
export function nameToken(name) {
  TOKEN = name;
}

export function currentToken() {
  return recall("tab", TOKEN) ?? recall("browser", TOKEN);
}

// Keep the token of a login; without `stays`, as long as the earlier token of this page.
export function keepToken(token, stays = recall("browser", TOKEN) !== null) {
  forgetToken();
  keep(stays ? "browser" : "tab", TOKEN, token);
}

export function forgetToken() {
  forget("tab", TOKEN);
  forget("browser", TOKEN);
}

let signedOut = () => {};

// Call `act` with the code of an error when the session has ended, and without one when another
// tab has signed in or out.
export function onSessionChange(act) {
  signedOut = act;
  addEventListener("storage", (event) => {
    if (event.key === keyOf(TOKEN) || event.key === null) act();
  });
}

// As send(), with the token. A token that is not valid any more is forgotten.
export async function sendSigned(method, path, content, headers = {}) {
  const token = currentToken();
  const all = { ...headers, Authorization: `Bearer ${token}` };
  const result = await send(method, path, content, all);
  if (result.status === 401 && result.code?.startsWith("token_")) {
    if (token === currentToken()) {
      forgetToken();
      signedOut(result.code);
    }
  }
  return result;
}

// Return the name of this browser for the list of devices, as "Firefox, Linux".
export function deviceName() {
  const agent = navigator.userAgent;
  const first = (names) => names.find(([mark]) => agent.includes(mark))?.[1];
  const browser = first([
    ["Edg", "Edge"],
    ["OPR/", "Opera"],
    ["SamsungBrowser", "Samsung Internet"],
    ["Firefox", "Firefox"],
    ["FxiOS", "Firefox"],
    ["Chrom", "Chrome"],
    ["CriOS", "Chrome"],
    ["Safari", "Safari"],
  ]);
  const system = first([
    ["iPhone", "iPhone"],
    ["iPad", "iPad"],
    ["Android", "Android"],
    ["Windows", "Windows"],
    ["CrOS", "ChromeOS"],
    ["Mac OS", "macOS"],
    ["Linux", "Linux"],
  ]);
  // Without a name, the server takes the User-Agent.
  return [browser, system].filter(Boolean).join(", ") || undefined;
}
