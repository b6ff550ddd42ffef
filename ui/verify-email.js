// The page of a link that verifies an address, or changes it.

import { isDeadLink, takeToken, useLink } from "./api.js";
import { button, element } from "./elements.js";
import { say, showView, startPage } from "./frame.js";
import { errorText, t } from "./language.js";

const token = takeToken();
let result = null;

async function verify() {
  show();
  result = await useLink("email-verifications", token);
  show();
}

// Show the result, or that there is none yet.
function show() {
  const again = button(t("form.again"), verify);
  const isFinal = !result || result.ok || isDeadLink(result) || result.code === "taken";
  showView({ title: t("view.verify-email"), content: [isFinal ? home() : again], focus: false });
  if (!result) say(t("link.checking"));
  else if (result.ok) say(t("verify.done", { email: result.account.email }), "good");
  else say(isDeadLink(result) ? `${errorText(result)} ${t("verify.advice")}` : errorText(result), "bad");
}

// The page has the account page's address only if that is there.
function home() {
  const isThere = document.getElementById("home");
  return isThere ? element("p", { class: "links" }, element("a", { href: "." }, t("link.account"))) : "";
}

startPage(() => (result ? show() : verify()));
