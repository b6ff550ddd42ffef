import { messageOf, post, say, takeToken } from "./api.js";

const result = await post("email-verifications", { token: takeToken() });
if (result.ok) {
  say(`${result.account.email} is verified. You can close this page.`, "good");
} else {
  say(`${messageOf(result)} Sign in to the app to have another link sent.`, "bad");
}
