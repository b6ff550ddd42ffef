import { Verifier } from "./server.js";

export async function latchkey(app, { url, ...options }) {
  const verifier = new Verifier(url, options);
  const hook = (isOptional) => async (request, reply) => {
    const { account, refusal } = await verifier.verify(request.headers.authorization, {
      isOptional,
    });
    request.account = account;
    if (refusal) return reply.code(refusal.status).headers(refusal.headers).send(refusal.body);
  };
  app.decorateRequest("account", null);
  app.decorate("requireAccount", hook(false));
  app.decorate("optionalAccount", hook(true));
  app.addHook("onClose", () => verifier.close());
}

// The whole application has the decorations, as with the package fastify-plugin.
latchkey[Symbol.for("skip-override")] = true;
latchkey[Symbol.for("fastify.display-name")] = "latchkey";
