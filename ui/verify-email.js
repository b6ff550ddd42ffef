import { isDeadLink, messageOf, retryable, say, takeToken, useLink } from "./api.js";

const token = takeToken();

retryable(async () => {
  const result = await useLink("email-verifications", token);
  if (result.ok) {
    say(`${result.account.email} is verified. You can close this page.`, "good");
    return false;
  }
  const advice = isDeadLink(result) ? " Sign in to the app to have another link sent." : "";
  say(`${messageOf(result)}${advice}`, "bad");
  return !advice && result.code !== "taken";
});
