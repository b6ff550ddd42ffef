// The page of a link that resets a password.

import { isDeadLink, send, takeToken, useLink } from "./api.js";
import { button, element } from "./elements.js";
import { codeField, field, form } from "./forms.js";
import { say, showView, startPage } from "./frame.js";
import { errorText, t } from "./language.js";

const token = takeToken();
let show = check;

async function check() {
  display([], t("link.checking"));
  const result = await useLink("password-resets/check", token);
  if (result.ok) change(() => choose());
  else if (isDeadLink(result)) change(() => offerNewLink(result));
  else display([button(t("form.again"), check)], errorText(result), "bad");
}

function change(next) {
  show = next;
  show();
}

function display(content, text, kind = "") {
  showView({ title: t("view.reset-password"), content, focus: false });
  say(text, kind);
}

// Ask for the password, and for a code if the account has a second factor.
function choose(typed = "", asksCode = false) {
  const chosen = field("new", t("field.new_password"), {
    type: "password",
    autocomplete: "new-password",
    value: typed,
  });
  const code = codeField();
  const choosing = form({
    name: "reset",
    fields: asksCode ? [chosen, code] : [chosen],
    action: t("reset.action"),
    act: async (values) => {
      const result = await useLink("password-resets/confirm", token, {
        new: values.new,
        code: values.code,
        device: "Password reset page",
      });
      if (isDeadLink(result)) change(() => offerNewLink(result));
      else if (result.code === "second_factor_required") change(() => choose(values.new, true));
      else if (!result.ok) return result;
      if (!result.ok) return null;
      change(finish);
      // Nobody goes on with the session that a reset opens here.
      await send("DELETE", "sessions/current", null, { Authorization: `Bearer ${result.token}` });
      return null;
    },
  });
  display([choosing], asksCode ? t("code.text") : t("reset.choose"));
  (asksCode ? code : chosen).input.focus();
}

function offerNewLink(result) {
  const email = field("email", t("field.your_email"), { type: "email", autocomplete: "email" });
  const asking = form({
    name: "request",
    fields: [email],
    action: t("reset.new_link"),
    act: async ({ email }) => {
      const sent = await send("POST", "password-resets", { email });
      if (sent.ok) change(() => display([], t("reset.sent"), "good"));
      return sent.ok ? null : sent;
    },
  });
  display([asking], errorText(result), "bad");
}

function finish() {
  const isThere = document.getElementById("home");
  const home = element("p", { class: "links" }, element("a", { href: "." }, t("link.account")));
  display(isThere ? [home] : [], t("reset.done"), "good");
}

startPage(() => show());
