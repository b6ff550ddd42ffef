// The account page: signed out, ways to sign in; signed in, the sections of the account.

import { pictureAt } from "./api.js";
import { devices } from "./devices.js";
import { button, element } from "./elements.js";
import { say, showActions, showFailure, showView, startPage } from "./frame.js";
import { errorText, t } from "./language.js";
import { profile } from "./profile.js";
import { security } from "./security.js";
import { currentToken, forgetToken, onSessionChange, sendSigned } from "./session.js";
import { signedOutView } from "./sign-in.js";

const SECTIONS = { profile, security, devices };

let account = null;
let message = [""];
const noticePlace = element("div");

// What the views need: the account, ways to change, to leave and to enter it, and to show the view
// again. Changes are shown around the view, which keeps what is typed in it.
const context = {
  get account() {
    return account;
  },
  update(changed) {
    account = { ...account, ...changed };
    showActions(actions());
    noticePlace.replaceChildren(...notice());
  },
  leave(...text) {
    account = null;
    forgetToken();
    message = text;
    return go("");
  },
  show() {
    return render();
  },
  enter(signedIn) {
    account = signedIn;
    return go(sectionOf(location.hash));
  },
};

// Return the section that a hash names, "" for none.
function sectionOf(hash) {
  return Object.hasOwn(SECTIONS, hash.slice(1)) ? hash.slice(1) : "";
}

// Show the view of a hash, also if it is shown already.
function go(hash) {
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
  return render();
}

async function render({ focus } = {}) {
  say(...message);
  message = [""];
  if (currentToken() === null) {
    account = null;
    showView({ ...signedOutView(location.hash.slice(1), context), focus });
    return;
  }
  if (account === null) {
    const result = await sendSigned("GET", "account");
    if (currentToken() === null) return; // onSessionChange has shown why
    if (!result.ok) {
      showFailure(result, () => render());
      return;
    }
    account = result;
  }
  const section = sectionOf(location.hash) || "profile";
  showView({
    title: t(`section.${section}`),
    content: [noticePlace, ...SECTIONS[section](context)],
    sections: Object.keys(SECTIONS).map((each) => [each, t(`section.${each}`), each === section]),
    actions: actions(),
    focus,
  });
  noticePlace.replaceChildren(...notice());
}

async function signOut() {
  const result = await sendSigned("DELETE", "sessions/current");
  if (result.ok || result.status === 401) await context.leave(t("account.signed_out"), "good");
  // The user may be at somebody else's computer: the token is deleted in any case.
  else await context.leave(`${t("account.signed_out_here")} ${errorText(result)}`, "bad");
}

function actions() {
  const url = pictureAt(account.picture, 64);
  const name = account.first_name || account.username || account.email;
  const who = element(
    "span",
    { class: "who" },
    url && element("img", { src: url, alt: "", width: 32, height: 32, class: "round" }),
    element("span", { class: "name" }, name),
  );
  return [who, button(t("account.sign_out"), signOut, { class: "quiet" })];
}

// A request to verify the address, if it has not been verified.
function notice() {
  if (!account.email || account.email_verified) return [];
  const text = element("p", {}, t("verify.notice", { email: account.email }));
  const again = button(t("verify.send_again"), async () => {
    const result = await sendSigned("POST", "account/email/verification");
    if (currentToken() === null) return;
    text.textContent = result.ok ? t("verify.sent", { email: account.email }) : errorText(result);
    text.setAttribute("role", result.ok ? "status" : "alert");
  });
  again.className = "quiet";
  return [element("div", { class: "notice" }, text, again)];
}

// Another device may have changed the account, or opened the link that verifies the address.
addEventListener("visibilitychange", async () => {
  if (document.visibilityState !== "visible" || account === null || account.email_verified) return;
  const result = await sendSigned("GET", "account");
  if (result.ok && account && result.email_verified) context.update(result);
});

addEventListener("hashchange", () => render());
onSessionChange(async (code) => {
  if (!code && account && currentToken() !== null) {
    // Another tab has another token, which may be that of another account.
    const result = await sendSigned("GET", "account");
    if (result.ok && result.id === account?.id) return;
  }
  account = null;
  message = code ? [errorText({ code }), "bad"] : [""];
  await render();
});
startPage(() => render());
