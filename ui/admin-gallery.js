// The section "Gallery": the pictures that every account can choose from.

import { sendAdmin, sendFresh } from "./admin-api.js";
import { pictureAt, send } from "./api.js";
import { confirmDialog } from "./dialogs.js";
import { button, card, element, outcome, tell } from "./elements.js";
import { field, form } from "./forms.js";
import { errorText, numberText, t } from "./language.js";

export function gallery() {
  const status = outcome();
  const place = element("div", { class: "stack", "aria-busy": "true" });
  const groups = element("datalist", { id: "groups" });

  async function load(text = "") {
    const result = await send("GET", "gallery");
    place.removeAttribute("aria-busy");
    if (!result.ok) {
      tell(status, errorText(result), "bad");
      place.replaceChildren(button(t("form.again"), () => load()));
      return;
    }
    tell(status, text, "good");
    const names = [...new Set(result.pictures.map((each) => each.group))];
    groups.replaceChildren(...names.map((value) => element("option", { value })));
    place.replaceChildren(
      ...names.flatMap((name) => [
        element("h3", {}, name),
        element(
          "ul",
          { class: "pictures" },
          result.pictures
            .filter((each) => each.group === name)
            .map((each) => picture(each, load)),
        ),
      ]),
      result.pictures.length ? "" : element("p", { class: "hint" }, t("admin.gallery.none")),
    );
  }

  load();
  const hint = element("p", { class: "hint" }, t("admin.gallery.text"));
  return [
    card(t("admin.gallery.title"), hint, status, place),
    card(t("admin.gallery.add"), adding(load), groups),
  ];
}

function picture({ id, name, url }, load) {
  const remove = button(
    t("admin.gallery.remove"),
    () =>
      confirmDialog({
        title: t("admin.gallery.question", { name }),
        text: t("admin.gallery.remove_text"),
        action: t("admin.gallery.remove"),
        kind: "danger",
        act: async () => {
          const result = await sendFresh("DELETE", `gallery/${id}`);
          const count = numberText(result.accounts ?? 0);
          if (result.ok) await load(t("admin.gallery.removed", { name, count }));
          else if (result.code === "not_found") await load();
          return result;
        },
      }),
    { class: "quiet", "aria-label": t("admin.gallery.remove_one", { name }) },
  );
  const src = pictureAt(url, 256);
  return element(
    "li",
    {},
    element("img", { src, alt: "", width: 96, height: 96, class: "round", loading: "lazy" }),
    element("span", {}, name),
    remove,
  );
}

function adding(load) {
  const file = field("picture", t("admin.gallery.file"), { type: "file", accept: "image/*" });
  const group = field("group", t("admin.gallery.group"), { list: "groups", autocomplete: "off" });
  const name = field("name", t("admin.gallery.name"), { autocomplete: "off", autocapitalize: "words" });
  return form({
    name: "add",
    fields: [file, group, name],
    action: t("admin.gallery.add"),
    act: async (values, { fail }) => {
      const [chosen] = file.input.files;
      if (!chosen) {
        fail("picture", t("admin.gallery.no_file"));
        return undefined;
      }
      const query = new URLSearchParams({ group: values.group.trim(), name: values.name.trim() });
      const result = await sendAdmin("POST", `gallery?${query}`, chosen);
      if (result.ok) {
        for (const each of [file, name]) each.input.value = "";
        await load(t("admin.gallery.added", { name: values.name.trim() }));
      }
      return result;
    },
  });
}
