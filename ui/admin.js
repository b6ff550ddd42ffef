// The admin page: signing in as a superuser, and the sections.

import { account as accountView } from "./admin-account.js";
import { accounts } from "./admin-accounts.js";
import { onRightsLost, sendAdmin, setAdministrator } from "./admin-api.js";
import { events } from "./admin-events.js";
import { gallery } from "./admin-gallery.js";
import { live } from "./admin-live.js";
import { send } from "./api.js";
import { button, element } from "./elements.js";
import { field, form, hiddenCodeField } from "./forms.js";
import { say, showFailure, showView, startPage } from "./frame.js";
import { errorText, t, useTexts } from "./language.js";
import { currentToken, deviceName, forgetToken, keepToken, nameToken, onSessionChange, sendSigned } from "./session.js";

const SECTIONS = { accounts, events, gallery, live };
const COMMAND = "python server.py account create \\\n  --superuser username=admin";

let session = null;
let message = [""];

// What the views need: the administrator, what the server has, and the way to another view.
const context = {
  get session() {
    return session;
  },
  go(hash, ...text) {
    message = text.length ? text : [""];
    history.pushState(null, "", `#${hash}`);
    return render();
  },
  leave(...text) {
    session = null;
    forgetToken();
    message = text;
    return render();
  },
};

async function render({ focus } = {}) {
  say(...message);
  message = [""];
  if (currentToken() === null) {
    session = null;
    showView({ title: t("admin.sign_in"), content: signIn(), focus });
    return;
  }
  if (session === null) {
    const result = await sendAdmin("GET", "session");
    if (currentToken() === null) return; // what was shown says why
    if (!result.ok) {
      showFailure(result, () => render());
      return;
    }
    session = result;
    setAdministrator(result.account);
  }
  const [path, query] = location.hash.slice(1).split("?");
  const [name, id] = path.split("/");
  const section = Object.hasOwn(SECTIONS, name) ? name : "accounts";
  const isAccount = name === "account" && /^[1-9][0-9]{0,18}$/.test(id);
  const options = new URLSearchParams(query);
  showView({
    title: isAccount ? t("admin.account", { id }) : t(`admin.section.${section}`),
    content: isAccount ? accountView(context, id) : SECTIONS[section](context, options),
    sections: Object.keys(SECTIONS).map((each) => [
      each,
      t(`admin.section.${each}`),
      each === section,
    ]),
    actions: actions(),
    focus,
  });
}

function signIn() {
  const [code, isAsked] = hiddenCodeField();
  const signing = form({
    name: "sign-in",
    fields: [
      field("login", t("field.login"), { autocomplete: "username", spellcheck: "false" }),
      field("password", t("field.password"), {
        type: "password",
        autocomplete: "current-password",
      }),
      code,
    ],
    action: t("sign_in.action"),
    act: async ({ login, password, code: typed }, { say: tellHere }) => {
      const result = await send("POST", "sessions", {
        login: login.trim(),
        password,
        code: typed.trim() || null,
        device: deviceName(),
      });
      if (result.ok) {
        keepToken(result.token, false);
        await render();
      } else if (isAsked(result)) {
        tellHere(t("code.text"));
        return undefined;
      }
      return result;
    },
  });
  const hint = element("p", { class: "hint" }, t("admin.sign_in_hint"));
  return [signing, hint, element("code", { class: "command" }, COMMAND)];
}

function actions() {
  const { username, email } = session.account;
  return [
    element("span", { class: "name" }, username ?? email),
    button(t("account.sign_out"), signOut, { class: "quiet" }),
  ];
}

async function signOut() {
  const result = await sendSigned("DELETE", "sessions/current");
  if (result.ok || result.status === 401) await context.leave(t("account.signed_out"), "good");
  // Another person may use this computer: the token is deleted in any case.
  else await context.leave(`${t("account.signed_out_here")} ${errorText(result)}`, "bad");
}

nameToken("admin-token");
useTexts("languages/admin");
onRightsLost(() => {
  const headers = { Authorization: `Bearer ${currentToken()}` };
  send("DELETE", "sessions/current", undefined, headers); // it can do nothing here
  context.leave(t("error.superuser_required"), "bad");
});
addEventListener("hashchange", () => render());
onSessionChange((code) => {
  session = null;
  message = code ? [errorText({ code }), "bad"] : [""];
  render();
});
startPage(() => render());
