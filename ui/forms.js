// Forms: fields with labels, hints and errors. Whatever fails, what was typed stays.

import { element, outcome, tell } from "./elements.js";
import { errorText, fieldErrorText, t } from "./language.js";

// The fields that an error without `errors` is about.
const WRONG = { wrong_password: ["current", "password"], wrong_code: ["code"] };

let count = 0;

// Return a field: {name, box, input, value(), fail(text)}. `properties` are those of the input.
export function field(name, label, properties = {}, hint = "") {
  const id = `field-${(count += 1)}`;
  const input = element("input", { id, name, autocapitalize: "none", ...properties });
  const problem = element("p", { id: `${id}-problem`, class: "problem", role: "alert" });
  const help = hint && element("p", { id: `${id}-hint`, class: "hint" }, hint);
  input.setAttribute("aria-describedby", help ? `${id}-hint ${problem.id}` : problem.id);
  const isPassword = properties.type === "password";
  const box = element(
    "div",
    { class: "field" },
    element("label", { for: id }, label),
    isPassword ? element("div", { class: "secret" }, input, revealer(input)) : input,
    help,
    problem,
  );
  const fail = (text) => {
    problem.textContent = text;
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  return { name, box, input, value: () => input.value, fail };
}

function revealer(input) {
  const shows = element("input", { type: "checkbox", "aria-label": t("form.show_password") });
  const text = element("span", { "aria-hidden": "true" }, t("form.show"));
  shows.addEventListener("change", () => {
    input.type = shows.checked ? "text" : "password";
    text.textContent = shows.checked ? t("form.hide") : t("form.show");
  });
  return element("label", { class: "reveal" }, shows, text);
}

// Return a choice between yes and no: {box, input, value()}.
export function checkbox(name, label) {
  const input = element("input", { type: "checkbox", name });
  return {
    name,
    box: element("label", { class: "choice" }, input, label),
    input,
    value: () => input.checked,
  };
}

// Return a field that is not shown: password managers read from it whose password a form has.
export function accountName({ username, email }) {
  const input = element("input", {
    name: "account",
    autocomplete: "username",
    value: username ?? email,
    hidden: true,
  });
  return { name: "account", box: input, input, value: () => input.value };
}

// Return a field for a code of the second factor, of the app or one for emergencies.
export function codeField(hint = t("code.hint")) {
  return field(
    "code",
    t("field.code"),
    { autocomplete: "one-time-code", spellcheck: "false" },
    hint,
  );
}

// Return a field for a code of the second factor, which is hidden until the server asks for it, and
// a function that shows it if the result of a request does.
export function hiddenCodeField() {
  const code = codeField();
  code.box.hidden = true;
  const isAsked = (result) => {
    if (result.code !== "second_factor_required" || !code.box.hidden) return false;
    code.box.hidden = false;
    code.input.focus();
    return true;
  };
  return [code, isAsked];
}

// Return a form. `act` is called with the values of the fields, once at a time, and with the form's
// {say(text, kind), fail(field, text), clear()}. It returns the result of a request: the text `done`
// is shown if it succeeded; its errors are shown beside their fields, all others above the button.
// If it returns nothing, nothing is shown. `more` are elements beside the button.
export function form({ name, fields, action, act, done = "", kind = "", more = [] }) {
  const status = outcome();
  const submit = element("button", { class: kind }, action);
  const made = element(
    "form",
    { name, novalidate: true },
    fields.map((each) => each.box),
    status,
    element("div", { class: "buttons" }, submit, more),
  );
  const say = (text, tone) => tell(status, text, tone);
  const fail = (field, text) => {
    const found = fields.find((each) => each.name === field && each.fail);
    if (found) found.fail(text);
    else say(text, "bad");
  };
  const clear = () => fields.forEach((each) => each.fail?.(""));
  made.addEventListener("input", () => {
    if (!status.classList.contains("bad")) say("");
  });
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    const focused = document.activeElement;
    submit.disabled = true;
    clear();
    say("");
    const values = Object.fromEntries(fields.map((each) => [each.name, each.value()]));
    const result = await act(values, { say, fail, clear });
    submit.disabled = false;
    if (result?.ok && done) say(done, "good");
    if (result && !result.ok) {
      for (const [name, text] of textsByField(result, fields)) fail(name, text);
    }
    const wrong = fields.find((each) => each.input.getAttribute("aria-invalid") === "true");
    if (wrong) wrong.input.focus();
    else if (document.activeElement === document.body) focused.focus();
  });
  return made;
}

// Return the errors of a result as a map of texts by field, "" for the form as a whole.
function textsByField(result, fields) {
  const texts = new Map();
  for (const error of result.errors ?? []) {
    const text = fieldErrorText(error);
    texts.set(error.field, texts.has(error.field) ? `${texts.get(error.field)} ${text}` : text);
  }
  if (texts.size) return texts;
  const names = WRONG[result.code] ?? [];
  const wrong = fields.find(({ name }) => names.includes(name));
  return new Map([[wrong?.name ?? "", errorText(result)]]);
}
