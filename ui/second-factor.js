// The card "Second factor": codes of an authenticator app, and recovery codes.

import { confirmDialog, openDialog } from "./dialogs.js";
import { button, element, outcome, tell } from "./elements.js";
import { accountName, codeField, field, form } from "./forms.js";
import { errorText, t } from "./language.js";
import { sendSigned } from "./session.js";

const QR_CODE = /^data:image\/svg\+xml[;,]/;

// Return the content of the card.
export function secondFactor({ account }) {
  const place = element("div", { class: "steps" });
  load();
  return [place];

  // Show the state as it is now. After a dialog, the focus returns to the card.
  async function load(isAfterDialog = false) {
    const result = await sendSigned("GET", "account/factors");
    const status = outcome();
    const shown = result.ok ? (result.totp ? on(result) : off()) : [button(t("form.again"), () => load())];
    const focused = document.activeElement;
    const isHere = place.contains(focused) || (isAfterDialog && focused === document.body);
    place.replaceChildren(status, ...shown);
    if (!result.ok) tell(status, errorText(result), "bad");
    if (!isHere) return;
    const buttons = [...place.querySelectorAll("button")];
    (buttons.find((each) => each.textContent === focused.textContent) ?? buttons[0]).focus();
  }

  function afterDialog() {
    load(true);
  }

  function off() {
    return [
      element("p", { class: "hint" }, t("totp.off")),
      button(t("totp.set_up"), setUp, { class: "start" }),
    ];
  }

  function on({ recovery_codes_left: left }) {
    return [
      element("p", {}, t("totp.on"), element("span", { class: "tag good" }, t("totp.is_on"))),
      element("p", { class: "hint" }, t("totp.left", { left })),
      element(
        "div",
        { class: "buttons" },
        button(t("totp.renew"), renew),
        button(t("totp.turn_off"), turnOff, { class: "quiet danger" }),
      ),
    ];
  }

  function setUp() {
    const { show, cancel } = openSteps(t("totp.title"), afterDialog);
    const begin = form({
      name: "begin",
      fields: [accountName(account), passwordField()],
      action: t("form.continue"),
      act: async ({ password }) => {
        const result = await sendSigned("POST", "account/totp", { password });
        if (!result.ok) return result;
        show(...scan(result), confirm);
        return null;
      },
      more: [cancel()],
    });
    const confirm = form({
      name: "confirm",
      fields: [codeField(t("totp.code_hint"))],
      action: t("totp.turn_on"),
      act: async ({ code }) => {
        const result = await sendSigned("POST", "account/totp/confirm", { code });
        if (!result.ok) return result;
        show(...codes(result, cancel));
        return null;
      },
      more: [cancel()],
    });
    show(element("p", {}, t("totp.begin")), begin);
  }

  function renew() {
    const { show, cancel } = openSteps(t("totp.renew"), afterDialog);
    const asking = form({
      name: "renew",
      fields: [accountName(account), passwordField(), codeField()],
      action: t("totp.renew"),
      act: async ({ password, code }) => {
        const result = await sendSigned("POST", "account/recovery-codes", { password, code });
        if (!result.ok) return result;
        show(...codes(result, cancel));
        return null;
      },
      more: [cancel()],
    });
    show(element("p", {}, t("totp.renew_text")), asking);
  }

  function turnOff() {
    confirmDialog({
      title: t("totp.question"),
      text: t("totp.turn_off_text"),
      action: t("totp.turn_off"),
      kind: "danger",
      fields: [accountName(account), passwordField(), codeField()],
      act: ({ password, code }) =>
        sendSigned("POST", "account/totp/removal", { password, code }),
      closed: afterDialog,
    });
  }
}

function passwordField() {
  return field("password", t("field.password"), {
    type: "password",
    autocomplete: "current-password",
  });
}

// Open a dialog of several steps: {show(...content), cancel(text)}, of which the last makes a button.
function openSteps(title, closed) {
  const place = element("div", { class: "steps" });
  const close = openDialog(title, place, closed);
  const show = (...content) => {
    place.replaceChildren(...content);
    place.querySelector("input:not([hidden]), button")?.focus();
  };
  const cancel = (text = t("dialog.cancel"), kind = "quiet") => button(text, close, { class: kind });
  return { show, cancel };
}

function scan({ secret, qr_code: image }) {
  const key = secret.match(/.{1,4}/g).join(" ");
  return [
    element("p", {}, t("totp.scan")),
    QR_CODE.test(image) && element("img", { src: image, alt: t("totp.qr_code"), class: "qr" }),
    element("p", {}, `${t("totp.key")} `, element("code", {}, key)),
  ].filter(Boolean);
}

function codes({ recovery_codes: all }, cancel) {
  const status = outcome();
  const copy = button(
    t("totp.copy"),
    async () => {
      const copied = await navigator.clipboard.writeText(all.join("\n")).then(
        () => true,
        () => false,
      );
      tell(status, copied ? t("totp.copied") : t("totp.not_copied"), copied ? "good" : "bad");
    },
    { class: "quiet" },
  );
  return [
    element("p", {}, t("totp.codes")),
    element(
      "ul",
      { class: "codes" },
      all.map((each) => element("li", {}, element("code", {}, each))),
    ),
    status,
    element("div", { class: "buttons" }, cancel(t("totp.done"), ""), navigator.clipboard && copy),
  ];
}
