// Requests of the admin page, and the password that some of them require.

import { confirmSession } from "./confirm-session.js";
import { sendSigned } from "./session.js";

const BASE = "../../ui/admin/api/"; // from the API of accounts, below any path of a proxy

let administrator = null;
let lostRights = () => {};

// Call `act` when the account turns out to have no rights, or none any more.
export function onRightsLost(act) {
  lostRights = act;
}

// Remember who is signed in, to ask for the password of that account.
export function setAdministrator(account) {
  administrator = account;
}

// As sendSigned(), to the API of this page. `version` is that of the account that is changed.
export async function sendAdmin(method, path, content, version) {
  const headers = version ? { "If-Match": `"${version}"` } : {};
  const result = await sendSigned(method, BASE + path, content, headers);
  if (result.code === "superuser_required") lostRights();
  return result;
}

// As sendAdmin(). If the login is too old for it, ask for the password, then send it again.
export async function sendFresh(...request) {
  const result = await sendAdmin(...request);
  if (result.code !== "fresh_login_required") return result;
  return (await confirmSession(administrator)) ? sendAdmin(...request) : { ok: false, code: "cancelled" };
}
