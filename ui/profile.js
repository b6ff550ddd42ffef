// The section "Profile": the picture and the names.

import { pictureAt } from "./api.js";
import { button, card, element } from "./elements.js";
import { field, form } from "./forms.js";
import { t } from "./language.js";
import { choosePicture } from "./picture.js";
import { sendSigned } from "./session.js";

export function profile(context) {
  return [card(t("picture.title"), picture(context)), card(t("names.title"), names(context))];
}

function picture(context) {
  let shown = portrait(context.account.picture);
  const change = (url) => {
    context.update({ picture: url });
    const next = portrait(url);
    shown.replaceWith(next);
    shown = next;
  };
  return element(
    "div",
    { class: "picture" },
    shown,
    element(
      "div",
      {},
      element("p", { class: "hint" }, t("picture.hint")),
      button(t("picture.change"), () => choosePicture(context.account.picture, change)),
    ),
  );
}

function portrait(picture) {
  const src = pictureAt(picture);
  return src
    ? element("img", { src, alt: t("picture.alt"), width: 96, height: 96, class: "round" })
    : element("span", { class: "round nobody", role: "img", "aria-label": t("picture.none") });
}

function names({ account, update }) {
  return form({
    name: "names",
    fields: [
      field("first_name", t("field.first_name"), {
        autocomplete: "given-name",
        autocapitalize: "words",
        value: account.first_name ?? "",
      }),
      field("last_name", t("field.last_name"), {
        autocomplete: "family-name",
        autocapitalize: "words",
        value: account.last_name ?? "",
      }),
      field(
        "username",
        t("field.username"),
        { autocomplete: "username", spellcheck: "false", value: account.username ?? "" },
        t("names.username_hint"),
      ),
    ],
    action: t("form.save"),
    done: t("form.saved"),
    act: async (values) => {
      // Only what has changed: a change of the username is counted, and "" is none.
      const changes = Object.fromEntries(
        Object.entries(values).filter(([name, text]) => text !== (account[name] ?? "")),
      );
      if (Object.keys(changes).length === 0) return { ok: true };
      const result = await sendSigned("PATCH", "account", changes);
      if (result.ok) {
        account = result;
        update(result);
      }
      return result;
    },
  });
}
