import { messageOf, post, say, show, takeToken } from "./api.js";

const token = takeToken();
const form = document.getElementById("reset");
const request = document.getElementById("request");
const problem = document.getElementById("problem");
const password = document.getElementById("new");

function offerNewLink(result) {
  say(messageOf(result), "bad");
  show("reset", false);
  show("request", result.code === "link_invalid" || result.code === "link_expired");
}

const checked = await post("password-resets/check", { token });
if (checked.ok) {
  say("Choose a new password. You will be signed out everywhere.");
  show("reset", true);
  password.focus();
} else {
  offerNewLink(checked);
}

document.getElementById("show").addEventListener("change", (event) => {
  password.type = event.target.checked ? "text" : "password";
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  problem.textContent = "";
  button.disabled = true;
  const result = await post("password-resets/confirm", {
    token,
    new: password.value,
    device: "Password reset page",
  });
  button.disabled = false;
  if (result.ok) {
    show("reset", false);
    say("Your password is changed. Sign in to the app with it.", "good");
  } else if (result.code === "link_invalid" || result.code === "link_expired") {
    offerNewLink(result);
  } else {
    problem.textContent = messageOf(result);
    password.focus();
  }
});

request.addEventListener("submit", async (event) => {
  event.preventDefault();
  const result = await post("password-resets", { email: request.email.value });
  if (result.ok) {
    show("request", false);
    say("If an account has this address, a link is on its way.", "good");
  } else {
    say(messageOf(result), "bad");
  }
});
