import {
  isDeadLink,
  messageOf,
  onSubmit,
  retryable,
  say,
  send,
  show,
  takeToken,
  useLink,
} from "./api.js";

const token = takeToken();
const form = document.getElementById("reset");
const request = document.getElementById("request");
const problem = document.getElementById("problem");
const password = document.getElementById("new");

function offerNewLink(result) {
  say(messageOf(result), "bad");
  show("reset", false);
  show("request", true);
}

function showProblem(text) {
  problem.textContent = text;
  password.setAttribute("aria-invalid", String(text !== ""));
  if (text) password.focus();
}

retryable(async () => {
  const result = await useLink("password-resets/check", token);
  if (result.ok) {
    say("Choose a new password. You will be signed out everywhere.");
    show("reset", true);
    password.focus();
    return false;
  }
  if (isDeadLink(result)) {
    offerNewLink(result);
    return false;
  }
  say(messageOf(result), "bad");
  return true;
});

document.getElementById("show").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});

onSubmit(form, async () => {
  showProblem("");
  const result = await useLink("password-resets/confirm", token, {
    new: password.value,
    device: "Password reset page",
  });
  if (result.ok) {
    show("reset", false);
    say("Your password is changed. Sign in to the app with it.", "good");
    // Nobody goes on with the session that a reset opens here.
    await send("DELETE", "sessions/current", null, { Authorization: `Bearer ${result.token}` });
  } else if (isDeadLink(result)) {
    offerNewLink(result);
  } else {
    showProblem(messageOf(result));
  }
});

onSubmit(request, async () => {
  const result = await send("POST", "password-resets", { email: request.email.value });
  if (result.ok) {
    show("request", false);
    say("If an account has this address, a link is on its way.", "good");
  } else {
    say(messageOf(result), "bad");
    request.email.focus();
  }
});
