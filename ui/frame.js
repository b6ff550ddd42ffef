// What surrounds every page: its heading, its title, its messages, and the switch of the language.

import { button, element } from "./elements.js";
import { chooseLanguage, errorText, languages, loadLanguage, t } from "./language.js";

const place = (id) => document.getElementById(id);
const product = document.querySelector(".product").textContent;

// Show the page with `render`, in the user's language, and again in each that the user chooses.
export async function startPage(render) {
  try {
    await loadLanguage();
  } catch {
    // Without its texts the page can only say so, in English.
    say("The server cannot be reached. Check your connection, and reload the page.", "bad");
    return;
  }
  const choice = element(
    "select",
    {
      change: async () => {
        const typed = typedValues();
        try {
          await chooseLanguage(choice.value);
        } catch {
          choice.value = languages().find((each) => each.isCurrent).code;
          say(errorText({ code: "offline" }), "bad");
          return;
        }
        choice.setAttribute("aria-label", t("frame.language"));
        await render();
        restore(typed);
        choice.focus();
      },
      "aria-label": t("frame.language"),
    },
    languages().map(({ code, name, isCurrent }) =>
      element("option", { value: code, lang: code, selected: isCurrent }, name),
    ),
  );
  document.querySelector("footer").append(choice);
  await render();
}

// Return what is typed in forms, by the names of the form and the field.
function typedValues() {
  const inputs = [...document.querySelectorAll("#view form [name]")];
  return new Map(
    inputs.map((input) => [`${input.form.name} ${input.name}`, [input.value, input.checked]]),
  );
}

function restore(typed) {
  for (const input of document.querySelectorAll("#view form [name]")) {
    const values = typed.get(`${input.form.name} ${input.name}`);
    if (values) [input.value, input.checked] = values;
  }
}

let isFirst = true;

// Show a view: its heading and its content. `sections` are [hash, text, isCurrent] of the other
// views, `actions` stand in the page's head. After the first view the focus is on the heading.
export function showView({ title, content, sections = [], actions = [], focus = !isFirst }) {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  document.title = `${title} · ${product}`;
  document.body.classList.toggle("wide", sections.length > 0);
  place("heading").textContent = title;
  showActions(actions);
  const nav = place("sections");
  nav.hidden = sections.length === 0;
  nav.setAttribute("aria-label", t("frame.sections"));
  nav.replaceChildren(
    ...sections.map(([hash, text, isCurrent]) =>
      element("a", { href: `#${hash}`, "aria-current": isCurrent ? "page" : null }, text),
    ),
  );
  place("view").replaceChildren(...content);
  if (focus) place("heading").focus();
  isFirst = false;
}

// Show what stands in the page's head.
export function showActions(actions) {
  place("actions").replaceChildren(...actions);
}

// Show a message about the whole page.
export function say(text, kind = "") {
  const status = place("status");
  status.className = `outcome ${kind}`;
  status.textContent = text;
}

// Show why a view cannot be shown, with a button that tries again.
export function showFailure(result, again) {
  say(errorText(result), "bad");
  place("view").replaceChildren(button(t("form.again"), again));
}
