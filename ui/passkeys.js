// Passkeys (Web Authentication): the card of the section "Security", and a way to sign in.

import { send } from "./api.js";
import { confirmSession } from "./confirm-session.js";
import { confirmDialog, openDialog } from "./dialogs.js";
import { button, card, element, outcome, tell } from "./elements.js";
import { field, form } from "./forms.js";
import { errorText, t, timeText } from "./language.js";
import { deviceName, sendSigned } from "./session.js";

// The origins of web pages that may use passkeys; none if the server does not offer them.
const ORIGINS = document.documentElement.dataset.passkeys.split(" ").filter(Boolean);
const METHODS = ["parseCreationOptionsFromJSON", "parseRequestOptionsFromJSON"];

// What the browser's errors mean to a user. A browser does not say whether its user has cancelled,
// waited too long, or has no passkey, so that a page cannot find out.
const ERRORS = {
  NotAllowedError: "passkey_cancelled",
  AbortError: "passkey_cancelled",
  InvalidStateError: "passkey_exists",
  ConstraintError: "passkey_unsupported",
  NotSupportedError: "passkey_unsupported",
  SecurityError: "passkey_not_here",
};

// Return whether passkeys can be used by this browser, at this address.
function canUse() {
  const isKnown = METHODS.every((each) => globalThis.PublicKeyCredential?.[each]);
  return isKnown && ORIGINS.includes(location.origin);
}

// Return the card, in a list; an empty list if the server does not offer passkeys.
export function passkeys(context) {
  if (ORIGINS.length === 0) return [];
  const list = element("ul", { class: "rows", "aria-busy": "true" });
  const status = outcome();
  const adding = canUse()
    ? button(t("passkey.add"), () => add(context, load))
    : element("p", {}, t("error.passkey_not_here"));
  async function load(text = "") {
    const result = await sendSigned("GET", "account/factors");
    list.removeAttribute("aria-busy");
    list.hidden = result.passkeys?.length === 0;
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      list.replaceChildren(element("li", {}, button(t("form.again"), () => load())));
      return;
    }
    tell(status, text, "good");
    list.replaceChildren(...result.passkeys.map((each) => row(each, { context, load, adding })));
  }
  load();
  const text = element("p", { class: "hint" }, t("passkey.text"));
  return [card(t("passkey.title"), text, status, list, adding)];
}

function row({ id, name, created, last_used: used }, { context, load, adding }) {
  const lastUsed = used ? t("devices.used", { time: timeText(used) }) : t("passkey.unused");
  const since = t("passkey.created", { time: timeText(created) });
  const remove = button(
    t("passkey.remove"),
    () =>
      confirmDialog({
        title: t("passkey.question"),
        text: t("passkey.remove_text", { name }),
        action: t("passkey.remove"),
        kind: "danger",
        act: async () => {
          const path = `account/passkeys/${encodeURIComponent(id)}`;
          const result = await sendFresh(context, "DELETE", path);
          const isGone = result?.ok || result?.code === "not_found";
          if (isGone) await load(t("passkey.removed", { name }));
          return isGone ? { ok: true } : result;
        },
        closed: () => remove.isConnected || adding.focus(),
      }),
    { class: "quiet danger", "aria-label": t("passkey.remove_one", { name }) },
  );
  return element(
    "li",
    {},
    element(
      "div",
      { class: "what" },
      element("p", {}, element("strong", {}, name)),
      element("p", { class: "hint" }, `${lastUsed} · ${since}`),
    ),
    remove,
  );
}

function add(context, load) {
  const suggested = deviceName() ?? t("passkey.title");
  const cancelling = new AbortController();
  let made = null; // kept for another attempt, if the connection or the name was the problem
  const adding = form({
    name: "passkey",
    fields: [
      field(
        "name",
        t("passkey.name"),
        { value: suggested, maxlength: 64, spellcheck: "false" },
        t("passkey.name_hint"),
      ),
    ],
    action: t("form.continue"),
    act: async ({ name }) => {
      made ??= await create(context, cancelling.signal);
      if (!made?.ok) {
        const problem = made;
        made = null;
        return problem;
      }
      const { credential } = made;
      const passkey = { name: name.trim() || suggested, credential };
      const result = await sendFresh(context, "POST", "account/passkeys", passkey);
      if (result?.errors?.some((each) => each.field === "credential")) {
        made = null;
        return { ok: false, code: "passkey_refused" };
      }
      if (result?.ok) {
        close();
        await load(t("passkey.added", { name: passkey.name }));
      }
      return result;
    },
    more: [button(t("dialog.cancel"), () => close(), { class: "quiet" })],
  });
  const content = element("div", {}, element("p", {}, t("passkey.add_text")), adding);
  const close = openDialog(t("passkey.add"), content, () => cancelling.abort());
}

// Return {ok, credential} of a new passkey, or the result that says why there is none.
async function create(context, signal) {
  const options = await sendFresh(context, "POST", "account/passkeys/options");
  if (!options?.ok) return options;
  return askBrowser(() =>
    navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
      signal,
    }),
  );
}

async function askBrowser(act) {
  try {
    const credential = await act();
    return { ok: true, credential: credential.toJSON() };
  } catch (error) {
    return { ok: false, code: ERRORS[error.name] ?? "other" };
  }
}

// As sendSigned(). If the session is not fresh, ask for the password and repeat the request.
// Return null if the user cancels that.
async function sendFresh({ account }, method, path, content) {
  const result = await sendSigned(method, path, content);
  if (result.code !== "fresh_login_required") return result;
  return (await confirmSession(account)) ? sendSigned(method, path, content) : null;
}

// Return what signs in with a passkey, in a list: empty where that does not work. `enter` gets the
// result of a login.
export function passkeySignIn(enter) {
  if (!canUse()) return [];
  const status = outcome();
  const signing = button(
    t("passkey.sign_in"),
    async () => {
      tell(status, "");
      const result = await signIn();
      if (result.ok) await enter(result);
      else tell(status, errorText(result), "bad");
    },
    { class: "quiet" },
  );
  return [element("div", { class: "steps" }, signing, status)];
}

async function signIn() {
  const options = await send("POST", "sessions/passkey/options");
  if (!options.ok) return options;
  const signed = await askBrowser(() =>
    navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
    }),
  );
  if (!signed.ok) return signed;
  const { credential } = signed;
  const result = await send("POST", "sessions/passkey", { credential, device: deviceName() });
  const isRefused = result.code === "invalid_credentials" || result.code === "invalid_fields";
  return isRefused ? { ...result, code: "passkey_unknown" } : result;
}
