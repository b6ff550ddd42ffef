// Requests of the admin page, and the password that some of them require.

import { send } from "./api.js";
import { confirmDialog } from "./dialogs.js";
import { field } from "./forms.js";
import { t } from "./language.js";
import { currentToken, deviceName, keepToken, sendSigned } from "./session.js";

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
  return (await logInAgain()) ? sendAdmin(...request) : { ok: false, code: "cancelled" };
}

// Ask for the password, and go on with a new session. Return whether there is one.
function logInAgain() {
  const password = field("password", t("field.password"), {
    type: "password",
    autocomplete: "current-password",
  });
  return new Promise((resolve) => {
    confirmDialog({
      title: t("admin.again.title"),
      text: t("admin.again.text", { name: administrator.username ?? administrator.email }),
      fields: [password],
      action: t("admin.again.action"),
      closed: () => resolve(false),
      act: async (values) => {
        const result = await logIn(administrator.username ?? administrator.email, values.password);
        if (result.ok) resolve(true);
        // The name is known: what was wrong is the password.
        return result.code === "invalid_credentials" ? { code: "wrong_password" } : result;
      },
    });
  });
}

// Open a session, keep its token in this tab, and end the session that this page had.
export async function logIn(login, password) {
  const result = await send("POST", "sessions", { login, password, device: deviceName() });
  if (!result.ok) return result;
  const earlier = currentToken();
  keepToken(result.token, false);
  if (earlier) endSession(earlier);
  return result;
}

export function endSession(token) {
  return send("DELETE", "sessions/current", undefined, { Authorization: `Bearer ${token}` });
}
