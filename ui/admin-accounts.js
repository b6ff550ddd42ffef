// The section "Accounts": a list of any length, page by page, with a search.

import { sendAdmin } from "./admin-api.js";
import { pictureAt } from "./api.js";
import { button, element, outcome, tell } from "./elements.js";
import { dateText, errorText, numberText, t } from "./language.js";

const PAGE = 50;
const TYPING = 250; // milliseconds without a key before a search begins
const STATES = { "": "all", true: "active", false: "disabled" };

export function accounts(context, options) {
  const search = element("input", {
    type: "search",
    name: "search",
    id: "search",
    value: options.get("search") ?? "",
    autocapitalize: "none",
    spellcheck: "false",
    maxlength: 254,
    input: () => soon(),
  });
  const state = element(
    "select",
    { name: "state", id: "state", change: () => load() },
    Object.entries(STATES).map(([value, name]) =>
      element("option", { value, selected: options.get("active") === value }, t(`admin.list.${name}`)),
    ),
  );
  const body = element("tbody");
  const status = outcome();
  const table = element("table", { class: "list" }, head(), body);
  const more = button(t("admin.more"), () => loadMore(), { class: "quiet", hidden: true });
  let [shown, following, latest, timer] = [0, null, 0, 0];

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(load, TYPING);
  }

  // Load the first page, and note the search in the address: the way back leads to it.
  async function load() {
    clearTimeout(timer);
    const [text, active] = [search.value.trim(), state.value];
    const noted = new URLSearchParams();
    if (text) noted.set("search", text);
    if (active) noted.set("active", active);
    if (table.isConnected) history.replaceState(null, "", `#accounts${noted.size ? `?${noted}` : ""}`);
    following = null;
    await loadPage((rows) => body.replaceChildren(...rows), true);
  }

  async function loadMore() {
    const last = body.lastElementChild;
    await loadPage((rows) => body.append(...rows), false);
    last?.nextElementSibling?.querySelector("a").focus();
  }

  async function loadPage(show, isFirst) {
    const mine = (latest += 1);
    const result = await request(search.value.trim(), state.value, following);
    if (mine !== latest) return; // another search began
    if (!result.ok) {
      // The account at the end of the last page may be gone, or have another name.
      const isStale = result.errors?.some((error) => error.field === "after");
      if (isStale) return load();
      tell(status, errorText(result), "bad");
      more.textContent = t("form.again");
      more.hidden = false;
      if (isFirst) table.hidden = true;
      return;
    }
    show(result.accounts.map(row));
    shown = isFirst ? result.accounts.length : shown + result.accounts.length;
    following = result.next;
    table.hidden = shown === 0;
    more.hidden = following === null;
    more.textContent = t("admin.more");
    tell(status, countText(shown, following !== null));
  }

  load();
  const form = element(
    "form",
    {
      class: "filters",
      role: "search",
      submit: (event) => {
        event.preventDefault();
        load();
      },
    },
    labelled(search, t("admin.list.search"), t("admin.list.search_hint")),
    labelled(state, t("admin.list.state")),
  );
  return [element("section", { class: "card" }, form, status, table, more)];
}

function countText(shown, isPart) {
  if (shown === 0) return t("admin.list.none");
  if (shown === 1) return t("admin.list.one");
  return t(isPart ? "admin.list.first" : "admin.list.count", { count: numberText(shown) });
}

// Return the result of a search: the account of "#42", or a page of those whose name begins with it.
function request(text, active, after) {
  const query = new URLSearchParams();
  const id = /^#([0-9]{1,19})$/.exec(text)?.[1];
  if (id) return sendAdmin("GET", `accounts?ids=${id}`);
  query.set("limit", PAGE);
  if (text) query.set("search", text);
  if (active) query.set("active", active);
  if (after !== null) query.set("after", after);
  return sendAdmin("GET", `accounts?${query}`);
}

function head() {
  const names = ["account", "state", "created", "last_login"];
  return element(
    "thead",
    {},
    element(
      "tr",
      {},
      names.map((name) => element("th", { scope: "col" }, t(`admin.list.column.${name}`))),
    ),
  );
}

function row(account) {
  const time = (value) => (value ? dateText(value) : t("admin.never"));
  const name = account.username ?? account.email;
  return element(
    "tr",
    {},
    element(
      "td",
      {},
      element(
        "div",
        { class: "person" },
        portrait(account, 40),
        element(
          "div",
          { class: "what" },
          element("a", { href: `#account/${account.id}` }, name),
          element("p", { class: "hint" }, account.username ? (account.email ?? `#${account.id}`) : `#${account.id}`),
        ),
      ),
    ),
    element("td", {}, element("div", { class: "tags" }, tags(account))),
    element("td", {}, time(account.created)),
    element("td", {}, time(account.last_login)),
  );
}

export function portrait(account, size) {
  const src = pictureAt(account.picture, size > 64 ? 256 : 64);
  return src
    ? element("img", { src, alt: "", width: size, height: size, class: "round", loading: "lazy" })
    : element("span", { class: "round nobody small", "aria-hidden": "true" });
}

// Return the marks of an account: what it may do, and whether it is let in.
export function tags(account) {
  const tag = (name, kind = "") => element("span", { class: `tag ${kind}` }, t(`admin.tag.${name}`));
  return [
    account.is_active ? tag("active", "good") : tag("disabled", "bad"),
    account.is_superuser && tag("superuser", "warn"),
    account.is_staff && tag("staff"),
  ];
}

// Return an input with its label, a hint and a place for what is wrong with it.
export function labelled(input, label, hint = "") {
  const [hintId, problemId] = [`${input.id}-hint`, `${input.id}-problem`];
  input.setAttribute("aria-describedby", `${hintId} ${problemId}`);
  return element(
    "div",
    { class: "field" },
    element("label", { for: input.id }, label),
    input,
    element("p", { id: hintId, class: "hint" }, hint),
    element("p", { id: problemId, class: "problem", role: "alert" }),
  );
}
