// The dialog that makes a session fresh again, for what requires a recent login.

import { confirmDialog } from "./dialogs.js";
import { accountName, field, hiddenCodeField } from "./forms.js";
import { t } from "./language.js";
import { sendSigned } from "./session.js";

// Ask for the password, and a code if the account has a second factor. Return whether the session
// is fresh then; it is not if the user cancels.
export function confirmSession(account) {
  const [code, isAsked] = hiddenCodeField();
  const password = field("password", t("field.password"), {
    type: "password",
    autocomplete: "current-password",
  });
  return new Promise((resolve) => {
    confirmDialog({
      title: t("confirm.title"),
      text: t("confirm.text", { name: account.username ?? account.email }),
      fields: [accountName(account), password, code],
      action: t("form.continue"),
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
