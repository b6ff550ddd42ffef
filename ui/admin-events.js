// The section "Events": what was done to accounts, when and by whom, the newest first.

import { labelled } from "./admin-accounts.js";
import { sendAdmin } from "./admin-api.js";
import { button, element, outcome, tell } from "./elements.js";
import { errorText, t, timeText } from "./language.js";

const TYPES = [
  "account.created",
  "account.changed",
  "account.email_verified",
  "account.password_changed",
  "account.disabled",
  "account.enabled",
  "account.deleted",
  "sessions.ended",
];

export function events(context, options) {
  if (!context.session.events) return [element("section", { class: "card" }, off())];
  const type = element(
    "select",
    { name: "type", id: "type" },
    element("option", { value: "" }, t("admin.events.all")),
    TYPES.map((each) =>
      element("option", { value: each, selected: options.get("type") === each }, t(`admin.event.${each}`)),
    ),
  );
  const account = element("input", {
    name: "account",
    id: "account",
    value: options.get("account") ?? "",
    autocapitalize: "none",
    autocomplete: "off",
    spellcheck: "false",
  });
  const accountBox = labelled(account, t("admin.events.account"), t("admin.events.account_hint"));
  const problem = accountBox.querySelector(".problem");
  const place = element("div", { class: "stack" });

  async function show() {
    const id = await idOf(account.value.trim(), problem);
    if (id === undefined) {
      account.setAttribute("aria-invalid", "true");
      account.focus();
      return;
    }
    account.removeAttribute("aria-invalid");
    const noted = new URLSearchParams();
    if (type.value) noted.set("type", type.value);
    if (account.value.trim()) noted.set("account", account.value.trim());
    if (place.isConnected) history.replaceState(null, "", `#events${noted.size ? `?${noted}` : ""}`);
    place.replaceChildren(...eventList(context, { account: id, type: type.value, isNamed: true }));
  }

  show();
  const form = element(
    "form",
    {
      class: "filters three",
      submit: (event) => {
        event.preventDefault();
        show();
      },
      change: () => show(),
    },
    labelled(type, t("admin.events.type")),
    accountBox,
    element("button", { class: "quiet" }, t("admin.events.show")),
  );
  return [element("section", { class: "card" }, form, place)];
}

// Return the id that is typed, or that of the account with this username; "" for none, and
// undefined if there is no such account.
async function idOf(text, problem) {
  problem.textContent = "";
  const id = /^#?([0-9]{1,18})$/.exec(text)?.[1] ?? text;
  if (id === "" || /^[0-9]+$/.test(id)) return id;
  const field = text.includes("@") ? "email" : "username";
  const result = await sendAdmin("GET", `accounts?${new URLSearchParams({ [field]: text })}`);
  if (result.ok && result.accounts.length) return result.accounts[0].id;
  problem.textContent = result.ok ? t("admin.events.no_account") : errorText(result);
  return undefined;
}

function off() {
  return element("p", {}, t("admin.events.off"));
}

// Return a list of events with a button for older ones. Without EVENTS=on it says so.
// `isNamed` says whether each event names its account.
export function eventList(context, { account = "", type = "", isNamed = false }) {
  if (!context.session.events) return [off()];
  const status = outcome();
  const list = element("ul", { class: "rows events", "aria-busy": "true" });
  const more = button(t("admin.events.older"), () => load(), { class: "quiet", hidden: true });
  let before = null;

  async function load() {
    const query = new URLSearchParams();
    if (account) query.set("account", account);
    if (type) query.set("type", type);
    if (before) query.set("before", before);
    const result = await sendAdmin("GET", `events?${query}`);
    list.removeAttribute("aria-busy");
    more.hidden = result.ok && result.next === null;
    more.textContent = result.ok ? t("admin.events.older") : t("form.again");
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      return;
    }
    before = result.next;
    list.append(...result.events.map((each) => row(each, isNamed)));
    nameAdmins(list, result.events);
    const isPart = before !== null && result.events.length === 0;
    if (isPart) tell(status, t("admin.events.none_yet"));
    else tell(status, list.children.length ? "" : t("admin.events.none"));
  }

  load();
  return [status, list, more];
}

function row(event, isNamed) {
  const { id, username } = event.account;
  const name = username ?? `#${id}`;
  const isDeleted = event.type === "account.deleted";
  const fields = event.data.fields ?? [];
  const isListed = event.type === "account.changed" || fields.length > 1; // not what the type says
  return element(
    "li",
    {},
    element(
      "div",
      { class: "what" },
      element(
        "p",
        {},
        element("strong", {}, t(`admin.event.${event.type}`)),
        isNamed && [" ", isDeleted ? name : element("a", { href: `#account/${id}` }, name)],
      ),
      element("p", { class: "hint" }, [actor(event.actor), isListed && fields.join(", ")].filter(Boolean).join(" · ")),
    ),
    element("time", { class: "hint", datetime: event.time }, timeText(event.time)),
  );
}

// An administrator is named by the id until nameAdmins() knows the name.
function actor({ type, name }) {
  return t(`admin.actor.${type}`, { name: type === "admin" ? `#${name}` : (name ?? "") });
}

async function nameAdmins(list, events) {
  const ids = new Set(events.filter((each) => each.actor.type === "admin").map((each) => each.actor.name));
  if (ids.size === 0) return;
  const result = await sendAdmin("GET", `accounts?ids=${[...ids].join(",")}`);
  if (!result.ok) return;
  const names = new Map(result.accounts.map((each) => [String(each.id), each.username ?? each.email]));
  const rows = [...list.children].slice(-events.length);
  events.forEach((event, index) => {
    const name = event.actor.type === "admin" && names.get(event.actor.name);
    if (!name) return;
    const hint = rows[index].querySelector("p.hint");
    hint.textContent = hint.textContent.replace(actor(event.actor), () => t("admin.actor.admin", { name }));
  });
}
