// One account: its fields, what can be done to it, its sessions and its last events.

import { sendAdmin, sendFresh } from "./admin-api.js";
import { portrait, tags } from "./admin-accounts.js";
import { eventList } from "./admin-events.js";
import { factors } from "./admin-factors.js";
import { confirmDialog } from "./dialogs.js";
import { button, card, element, outcome, tell } from "./elements.js";
import { checkbox, field, form } from "./forms.js";
import { errorText, t, timeText } from "./language.js";

export function account(context, id) {
  const place = element("div", { class: "stack", "aria-busy": "true" });
  const back = element("p", {}, element("a", { href: "#accounts" }, t("admin.back")));
  load(context, id, place);
  return [back, place];
}

async function load(context, id, place, text = "") {
  const result = await sendAdmin("GET", `accounts/${id}`);
  place.removeAttribute("aria-busy");
  if (!result.ok) {
    const status = outcome();
    const isGone = result.code === "not_found";
    place.replaceChildren(
      status,
      isGone ? "" : button(t("form.again"), () => load(context, id, place)),
    );
    tell(status, isGone ? t("admin.gone", { id }) : errorText(result), "bad");
    return;
  }
  const again = (said) => load(context, id, place, said);
  const isOwn = result.id === context.session.account.id;
  place.replaceChildren(
    summary(result, text),
    card(t("admin.edit.title"), editing(result, again, isOwn)),
    card(t("admin.access.title"), ...access(context, result, again, isOwn)),
    card(t("admin.factors.title"), ...factors(result, nameOf(result))),
    card(t("admin.sessions.title"), ...sessions(result)),
    card(t("admin.account_events.title"), ...eventList(context, { account: result.id })),
  );
}

// Return whether nothing is left to do: it is done, or the account or the session is gone.
function isOver(result) {
  return result.ok || result.code === "not_found";
}

export function nameOf(account) {
  return account.username ?? account.email;
}

function summary(account, text) {
  const status = outcome();
  status.tabIndex = -1;
  // The button that was pressed is gone, and may have been far below. A dialog closes first.
  if (text) setTimeout(() => status.focus());
  const facts = [
    ["id", `#${account.id}`],
    ["created", timeText(account.created)],
    ["last_login", account.last_login ? timeText(account.last_login) : t("admin.never")],
    ["password", t(account.password_set ? "admin.yes" : "admin.no")],
  ];
  tell(status, text, "good");
  return element(
    "section",
    { class: "card" },
    status,
    element(
      "div",
      { class: "person" },
      portrait(account, 64),
      element(
        "div",
        { class: "what" },
        element("h2", {}, nameOf(account)),
        element("p", { class: "hint" }, account.username ? account.email : ""),
        element("div", { class: "tags" }, tags(account)),
      ),
    ),
    element(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) =>
        element("div", {}, element("dt", {}, t(`admin.fact.${name}`)), element("dd", {}, value)),
      ),
    ),
  );
}

// Only what was changed is sent, so that fields that nobody touched keep what others gave them.
function editing(account, again, isOwn) {
  const text = (name, label, more = {}) =>
    field(name, label, { value: account[name] ?? "", autocomplete: "off", spellcheck: "false", ...more });
  const flag = (name) => {
    const made = checkbox(name, t(`admin.edit.${name}`));
    made.input.checked = account[name];
    return made;
  };
  const superuser = flag("is_superuser");
  superuser.input.disabled = isOwn;
  const reload = button(t("admin.edit.reload"), () => again(), { class: "quiet", hidden: true });
  return form({
    name: "edit",
    fields: [
      text("username", t("field.username")),
      text("email", t("field.email"), { type: "email" }),
      flag("email_verified"),
      text("first_name", t("field.first_name"), { autocapitalize: "words" }),
      text("last_name", t("field.last_name"), { autocapitalize: "words" }),
      flag("is_staff"),
      superuser,
    ],
    action: t("form.save"),
    more: [reload],
    act: async (values, { say }) => {
      const changes = changesOf(account, values);
      if (Object.keys(changes).length === 0) {
        say(t("error.cancelled"));
        return undefined;
      }
      const path = `accounts/${account.id}`;
      const result = await sendFresh("PATCH", path, changes, account.version);
      if (isOver(result)) await again(t("form.saved"));
      else reload.hidden = result.code !== "precondition_failed";
      return result;
    },
  });
}

function changesOf(account, values) {
  const changes = {};
  for (const [name, value] of Object.entries(values)) {
    const typed = typeof value === "string" ? value.trim() || null : value;
    if (typed !== (account[name] ?? null)) changes[name] = typed;
  }
  // A changed address is not verified, unless the box says that the new one is.
  if ("email" in changes && values.email_verified && !account.email_verified) {
    changes.email_verified = true;
  }
  return changes;
}

function access(context, account, again, isOwn) {
  const status = outcome();
  const name = nameOf(account);
  const path = `accounts/${account.id}`;
  const show = async (result, text) => {
    if (isOver(result)) await again(text);
    else tell(status, errorText(result), "bad");
  };
  const enable = button(t("admin.enable.action"), async () =>
    show(await sendAdmin("PATCH", path, { is_active: true }), t("admin.enable.done", { name })),
  );
  const disable = button(
    t("admin.disable.action"),
    () =>
      confirmDialog({
        title: t("admin.disable.question", { name }),
        text: t("admin.disable.text"),
        action: t("admin.disable.action"),
        kind: "danger",
        act: async () => {
          const result = await sendFresh("PATCH", path, { is_active: false });
          if (!isOver(result)) return result;
          await again(t("admin.disable.done", { name }));
          return { ok: true };
        },
      }),
    { class: "quiet danger" },
  );
  const reset = button(
    t("admin.reset.action"),
    async () => {
      const result = await sendAdmin("POST", `${path}/password-reset`, {});
      if (result.ok) tell(status, t("admin.reset.done", { email: account.email }), "good");
      else await show(result);
    },
    { class: "quiet" },
  );
  const remove = button(t("admin.delete.action"), () => deletion(context, account, again), {
    class: "quiet danger",
  });
  const resetHint = !context.session.mail
    ? t("admin.reset.no_mail")
    : !account.email
      ? t("admin.reset.no_email")
      : !account.is_active
        ? t("admin.reset.disabled")
        : t("admin.reset.text");
  const canReset = context.session.mail && account.email && account.is_active;
  return [
    status,
    element(
      "ul",
      { class: "rows" },
      deed(
        account.is_active ? t("admin.disable.text") : t("admin.enable.text"),
        isOwn ? null : account.is_active ? disable : enable,
      ),
      deed(resetHint, canReset ? reset : null),
      deed(t("admin.delete.text"), isOwn ? null : remove),
    ),
    isOwn ? element("p", { class: "hint" }, t("error.own_account")) : "",
  ];
}

function deed(text, act) {
  return element("li", {}, element("p", { class: "what hint" }, text), act);
}

// The name is typed, so that nobody deletes the account beside the one that was meant.
function deletion(context, account, again) {
  const name = nameOf(account);
  const typed = field("name", t("admin.delete.type", { name }), {
    autocomplete: "off",
    spellcheck: "false",
  });
  confirmDialog({
    title: t("admin.delete.question", { name }),
    text: t("admin.delete.text"),
    fields: [typed],
    action: t("admin.delete.confirm"),
    kind: "danger",
    act: async (values, { fail }) => {
      if (values.name.trim() !== name) {
        fail("name", t("admin.delete.mismatch", { name }));
        return undefined;
      }
      const result = await sendFresh("DELETE", `accounts/${account.id}`);
      if (!isOver(result)) return result;
      await context.go("accounts", t("admin.delete.done", { name }), "good");
      return { ok: true };
    },
  });
}

function sessions(account) {
  const list = element("ul", { class: "rows", "aria-busy": "true" });
  const status = outcome();
  const path = `accounts/${account.id}/sessions`;
  const all = button(
    t("admin.sessions.end_all"),
    () =>
      confirmDialog({
        title: t("admin.sessions.end_all"),
        text: t("admin.sessions.end_all_text", { name: nameOf(account) }),
        action: t("admin.sessions.end_all"),
        kind: "danger",
        act: async () => {
          const result = await sendFresh("DELETE", path);
          if (result.ok) await loadSessions(t("admin.sessions.all_ended"));
          return result;
        },
      }),
    { class: "quiet danger", hidden: true },
  );

  async function loadSessions(text = "") {
    const result = await sendAdmin("GET", path);
    list.removeAttribute("aria-busy");
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      list.replaceChildren(element("li", {}, button(t("form.again"), () => loadSessions())));
      return;
    }
    const isEmpty = result.sessions.length === 0;
    tell(status, text, "good");
    all.hidden = isEmpty;
    list.replaceChildren(
      ...(isEmpty
        ? [element("li", { class: "hint" }, t("admin.sessions.none"))]
        : result.sessions.map((each) => sessionRow(each, path, status, loadSessions))),
    );
  }

  loadSessions();
  return [status, list, all];
}

function sessionRow(session, path, status, loadSessions) {
  const name = session.device || t("devices.unnamed", { dialect: session.dialect });
  const end = button(
    t("admin.sessions.end"),
    async () => {
      const result = await sendFresh("DELETE", `${path}/${encodeURIComponent(session.id)}`);
      if (isOver(result)) await loadSessions(t("admin.sessions.ended", { name }));
      else tell(status, errorText(result), "bad");
    },
    { class: "quiet", "aria-label": t("admin.sessions.end_one", { name }) },
  );
  const used = t("devices.used", { time: timeText(session.last_used) });
  const since = t("devices.since", { time: timeText(session.created) });
  return element(
    "li",
    {},
    element(
      "div",
      { class: "what" },
      element("p", {}, element("strong", {}, name)),
      element("p", { class: "hint" }, `${used} · ${since} · ${session.dialect}`),
    ),
    end,
  );
}
