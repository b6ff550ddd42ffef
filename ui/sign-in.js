// The views of a user who is signed out: sign in, sign up, and ask for another password.

import { send } from "./api.js";
import { button, element } from "./elements.js";
import { checkbox, codeField, field, form } from "./forms.js";
import { errorText, t } from "./language.js";
import { passkeySignIn } from "./passkeys.js";
import { deviceName, keepToken } from "./session.js";

const VIEWS = { "sign-in": signIn, "sign-up": signUp, forgot };

// The name that was typed last, so that it is typed once.
let typedLogin = "";

// The login that goes on when the code of the second factor is given: {challenge, stays}, or null.
let begun = null;

// Return {title, content} of the view of a hash.
export function signedOutView(hash, context) {
  if (begun) return { title: t("view.code"), content: code(context) };
  const name = Object.hasOwn(VIEWS, hash) ? hash : "sign-in";
  return { title: t(`view.${name}`), content: VIEWS[name](context) };
}

function signIn(context) {
  const login = field("login", t("field.login"), {
    autocomplete: "username",
    spellcheck: "false",
    value: typedLogin,
  });
  const stays = checkbox("stays", t("sign_in.stay"));
  const signing = form({
    name: "sign-in",
    fields: [login, password("current-password"), stays],
    action: t("sign_in.action"),
    act: async ({ login, password, stays }) => {
      typedLogin = login.trim();
      const result = await send("POST", "sessions", { login: typedLogin, password, device: deviceName() });
      if (result.ok) await enter(context, result, stays);
      if (result.code !== "second_factor_required") return result;
      begun = { challenge: result.challenge, stays };
      await context.show();
      return null;
    },
  });
  return [
    signing,
    ...passkeySignIn((result) => enter(context, result, stays.value())),
    links(["forgot", t("sign_in.forgot")], ["sign-up", t("sign_in.sign_up")]),
  ];
}

function code(context) {
  const { challenge, stays } = begun;
  const leave = (...message) => {
    begun = null;
    return context.leave(...message);
  };
  const asked = codeField();
  const asking = form({
    name: "code",
    fields: [asked],
    action: t("sign_in.action"),
    act: async ({ code }) => {
      const result = await send("POST", "sessions/challenge", {
        challenge,
        code,
        device: deviceName(),
      });
      if (result.code === "challenge_invalid") {
        await leave(errorText(result), "bad");
        return null;
      }
      if (result.ok) await enter(context, result, stays);
      return result;
    },
    more: [button(t("form.back"), () => leave(""), { class: "quiet" })],
  });
  return [element("p", {}, t("code.text")), asking];
}

function signUp(context) {
  const signing = form({
    name: "sign-up",
    fields: [
      field(
        "email",
        t("field.email"),
        { type: "email", autocomplete: "email", spellcheck: "false" },
        t("sign_up.email_hint"),
      ),
      field("username", t("field.username_optional"), {
        autocomplete: "username",
        spellcheck: "false",
      }),
      password("new-password"),
      checkbox("stays", t("sign_in.stay")),
    ],
    action: t("sign_up.action"),
    act: async ({ email, username, password, stays }) => {
      typedLogin = email.trim() || username.trim();
      const result = await send("POST", "accounts", {
        email: email.trim() || null,
        username: username.trim() || null,
        password,
        device: deviceName(),
      });
      if (result.ok) await enter(context, result, stays);
      return result;
    },
  });
  return [signing, links(["sign-in", t("sign_up.sign_in")])];
}

function forgot() {
  const email = field("email", t("field.email"), {
    type: "email",
    autocomplete: "email",
    spellcheck: "false",
    value: typedLogin.includes("@") ? typedLogin : "",
  });
  const asking = form({
    name: "forgot",
    fields: [email],
    action: t("forgot.action"),
    done: t("reset.sent"),
    act: ({ email }) => send("POST", "password-resets", { email: email.trim() }),
  });
  const text = element("p", {}, t("forgot.text"));
  return [text, asking, links(["sign-in", t("forgot.back")])];
}

async function enter(context, result, stays) {
  typedLogin = "";
  begun = null;
  keepToken(result.token, stays);
  await context.enter(result.account);
}

function password(autocomplete) {
  return field("password", t("field.password"), { type: "password", autocomplete });
}

function links(...all) {
  const made = all.map(([hash, text]) => element("a", { href: `#${hash}` }, text));
  return element("p", { class: "links" }, made);
}
