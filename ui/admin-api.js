// Requests of the admin page, and the password that some of them require.

import { confirmDialog } from "./dialogs.js";
import { accountName, codeField, field } from "./forms.js";
import { t } from "./language.js";
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
  return (await confirmSession()) ? sendAdmin(...request) : { ok: false, code: "cancelled" };
}

// Return a field for a code of the second factor, which is hidden until the server asks for it, and
// a function that shows it if the result of a request does.
export function hiddenCodeField() {
  const code = codeField();
  code.box.hidden = true;
  const isAsked = (result) => {
    if (result.code !== "second_factor_required" || !code.box.hidden) return false;
    code.box.hidden = false;
    code.input.focus();
    return true;
  };
  return [code, isAsked];
}

// Ask for the password, and a code if the account has a second factor: both make the session fresh
// again. Return whether it is.
function confirmSession() {
  const [code, isAsked] = hiddenCodeField();
  const password = field("password", t("field.password"), {
    type: "password",
    autocomplete: "current-password",
  });
  return new Promise((resolve) => {
    confirmDialog({
      title: t("admin.again.title"),
      text: t("admin.again.text", { name: administrator.username ?? administrator.email }),
      fields: [accountName(administrator), password, code],
      action: t("admin.again.action"),
      closed: () => resolve(false),
      act: async (values, { say }) => {
        const content = { password: values.password, code: values.code.trim() || null };
        const result = await sendSigned("POST", "sessions/current/confirm", content);
        if (isAsked(result)) {
          say(t("code.text"));
          return undefined;
        }
        if (result.ok) resolve(true);
        return result;
      },
    });
  });
}
