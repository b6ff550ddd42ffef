// The section "Security": e-mail, password, second factor, passkeys, and the end of the account.

import { button, card, element } from "./elements.js";
import { confirmDialog } from "./dialogs.js";
import { accountName, field, form } from "./forms.js";
import { t } from "./language.js";
import { passkeys } from "./passkeys.js";
import { secondFactor } from "./second-factor.js";
import { keepToken, sendSigned } from "./session.js";

export function security(context) {
  return [
    card(t("email.title"), ...email(context)),
    card(t("password.title"), ...password(context)),
    card(t("totp.title"), ...secondFactor(context)),
    ...passkeys(context),
    card(t("delete.title"), ...deletion(context)),
  ];
}

function email({ account }) {
  const { email, email_verified: isVerified } = account;
  const state = isVerified ? t("email.verified") : t("email.not_verified");
  const now = element(
    "p",
    {},
    email ? element("strong", {}, email) : t("email.none"),
    email && element("span", { class: isVerified ? "tag good" : "tag" }, state),
  );
  const changing = form({
    name: "email",
    fields: [
      accountName(account),
      field(
        "email",
        t("email.new"),
        { type: "email", autocomplete: "email", spellcheck: "false" },
        t("email.hint"),
      ),
      field("password", t("field.current_password"), {
        type: "password",
        autocomplete: "current-password",
      }),
    ],
    action: t("email.action"),
    act: async ({ email, password }, { say }) => {
      const result = await sendSigned("PUT", "account/email", { email: email.trim(), password });
      if (!result.ok) return result;
      changing.reset();
      say(t("email.sent", { email: email.trim() }), "good");
      return null;
    },
  });
  return [now, changing];
}

function password({ account }) {
  const changing = form({
    name: "password",
    fields: [
      accountName(account),
      field("current", t("field.current_password"), {
        type: "password",
        autocomplete: "current-password",
      }),
      field("new", t("field.new_password"), { type: "password", autocomplete: "new-password" }),
    ],
    action: t("password.action"),
    done: t("password.done"),
    act: async ({ current, new: chosen }) => {
      const result = await sendSigned("PUT", "account/password", { current, new: chosen });
      if (result.ok) {
        keepToken(result.token);
        changing.reset();
      }
      return result;
    },
  });
  return [element("p", { class: "hint" }, t("password.text")), changing];
}

function deletion(context) {
  const ask = () =>
    confirmDialog({
      title: t("delete.question"),
      text: t("delete.text"),
      action: t("delete.action"),
      kind: "danger",
      fields: [
        accountName(context.account),
        field("password", t("field.password"), {
          type: "password",
          autocomplete: "current-password",
        }),
      ],
      act: async ({ password }) => {
        const result = await sendSigned("POST", "account/deletion", { password });
        if (result.ok) await context.leave(t("delete.done"), "good");
        return result;
      },
    });
  const text = element("p", { class: "hint" }, t("delete.text"));
  return [text, button(t("delete.open"), ask, { class: "quiet danger" })];
}
