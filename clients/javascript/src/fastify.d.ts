import type { FastifyPluginAsync, onRequestAsyncHookHandler } from "fastify";
import type { Caller, VerifierOptions } from "./server.js";

export type { Caller, VerifierOptions };

/** A plugin. `url` is that of Latchkey, as for `Verifier`. */
export const latchkey: FastifyPluginAsync<VerifierOptions & { url: string }>;

declare module "fastify" {
  interface FastifyRequest {
    account: Caller | null;
  }

  interface FastifyInstance {
    /** Set `request.account`, or respond with a 401, or with a 503 in an outage. */
    requireAccount: onRequestAsyncHookHandler;
    /** The same, but `request.account` is null for a request without a token. */
    optionalAccount: onRequestAsyncHookHandler;
  }
}
