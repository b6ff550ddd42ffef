// Dialogs: what is behind them cannot be used until they are closed.

import { button, element } from "./elements.js";
import { form } from "./forms.js";
import { t } from "./language.js";

let count = 0;

// Open a dialog with a title and a content; return a function that closes it. `closed` is called
// when it is closed, in whatever way.
export function openDialog(title, content, closed = () => {}) {
  const id = `dialog-${(count += 1)}`; // a dialog may open another
  const heading = element("h2", { id }, title);
  const opener = document.activeElement;
  const dialog = element("dialog", { "aria-labelledby": id }, heading, content);
  dialog.addEventListener("close", () => {
    dialog.remove();
    closed();
    if (opener?.isConnected) opener.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
  return () => dialog.close();
}

// Ask before something is done. `act` gets the values of `fields`, and its result is shown as in a
// form; the dialog is closed when it succeeds. `closed` is called when it is closed.
export function confirmDialog({ title, text, action, act, fields = [], kind = "", closed }) {
  let close = () => {};
  const asking = form({
    name: "confirm",
    fields,
    action,
    kind,
    act: async (values, its) => {
      const result = await act(values, its);
      if (result?.ok) close();
      return result;
    },
    more: [button(t("dialog.cancel"), () => close(), { class: "quiet" })],
  });
  close = openDialog(title, element("div", {}, element("p", {}, text), asking), closed);
  return close;
}
