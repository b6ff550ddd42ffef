// The second factor and the passkeys of an account, and their removal for an owner who lost them.

import { sendAdmin, sendFresh } from "./admin-api.js";
import { confirmDialog } from "./dialogs.js";
import { button, element, outcome, tell } from "./elements.js";
import { errorText, t } from "./language.js";

export function factors(account, name) {
  const status = outcome();
  const facts = element("dl", { class: "facts", "aria-busy": "true" });
  const path = `accounts/${account.id}/factors`;
  const reset = button(
    t("admin.factors.action"),
    () =>
      confirmDialog({
        title: t("admin.factors.question", { name }),
        text: t("admin.factors.text"),
        action: t("admin.factors.action"),
        kind: "danger",
        act: async () => {
          const result = await sendFresh("DELETE", path);
          if (!result.ok && result.code !== "not_found") return result;
          await load(t("admin.factors.done", { name }));
          return { ok: true };
        },
      }),
    { class: "quiet danger", hidden: true },
  );

  async function load(text = "") {
    const result = await sendAdmin("GET", path);
    facts.removeAttribute("aria-busy");
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      return;
    }
    tell(status, text, "good");
    reset.hidden = !result.totp && result.passkeys === 0;
    const shown = [
      ["totp", t(result.totp ? "admin.yes" : "admin.no")],
      ["recovery_codes", String(result.recovery_codes_left)],
      ["passkeys", String(result.passkeys)],
    ];
    facts.replaceChildren(
      ...shown.map(([fact, value]) =>
        element(
          "div",
          {},
          element("dt", {}, t(`admin.factors.${fact}`)),
          element("dd", {}, value),
        ),
      ),
    );
  }

  load();
  return [status, facts, reset];
}
