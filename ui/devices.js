// The section "Devices": where the account is signed in, and how to sign out there.

import { button, card, element, outcome, tell } from "./elements.js";
import { confirmDialog } from "./dialogs.js";
import { errorText, t, timeText } from "./language.js";
import { sendSigned } from "./session.js";

export function devices(context) {
  const list = element("ul", { class: "rows", "aria-busy": "true" });
  const status = outcome();
  const others = button(t("devices.end_others"), () => endOthers(load), { hidden: true });
  async function load(text = "") {
    const result = await sendSigned("GET", "sessions");
    list.removeAttribute("aria-busy");
    others.hidden = !result.ok || result.sessions.length < 2;
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      list.replaceChildren(element("li", {}, button(t("form.again"), () => load())));
      return;
    }
    tell(status, text, "good");
    list.replaceChildren(...result.sessions.map((each) => row(each, load, context, status)));
  }
  load();
  const text = element("p", { class: "hint" }, t("devices.text"));
  return [card(t("devices.title"), text, status, list, others)];
}

function row(session, load, context, status) {
  const name = session.device || t("devices.unnamed", { dialect: session.dialect });
  const end = button(
    t("devices.end"),
    async () => {
      if (session.current) {
        const result = await sendSigned("DELETE", "sessions/current");
        if (result.ok) await context.leave(t("account.signed_out"), "good");
        else tell(status, errorText(result), "bad");
        return;
      }
      const result = await sendSigned("DELETE", `sessions/${encodeURIComponent(session.id)}`);
      // A session that is not there any more has ended, too.
      if (result.ok || result.code === "not_found") await load(t("devices.ended", { name }));
      else tell(status, errorText(result), "bad");
    },
    { class: "quiet", "aria-label": t("devices.end_one", { name }) },
  );
  const used = t("devices.used", { time: timeText(session.last_used) });
  const since = t("devices.since", { time: timeText(session.created) });
  return element(
    "li",
    {},
    element(
      "div",
      { class: "what" },
      element(
        "p",
        {},
        element("strong", {}, name),
        session.current && element("span", { class: "tag good" }, t("devices.this_one")),
      ),
      element("p", { class: "hint" }, `${used} · ${since}`),
    ),
    end,
  );
}

function endOthers(load) {
  confirmDialog({
    title: t("devices.end_others"),
    text: t("devices.end_others_text"),
    action: t("devices.end_others"),
    act: async () => {
      const result = await sendSigned("DELETE", "sessions?keep=current");
      if (result.ok) await load(t("devices.others_ended"));
      return result;
    },
  });
}
