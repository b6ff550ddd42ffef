import type { IncomingMessage, ServerResponse } from "node:http";
import type { Caller, VerifierOptions } from "./server.js";

export type { Caller, VerifierOptions };

type Middleware = (
  request: IncomingMessage & { account?: Caller | null },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** Return middleware for Express and Connect. `url` is that of Latchkey, as for `Verifier`. */
export function latchkey(
  url: string,
  options?: VerifierOptions,
): {
  /** Set `request.account`, or respond with a 401, or with a 503 in an outage. */
  requireAccount: Middleware;
  /** The same, but `request.account` is null for a request without a token. */
  optionalAccount: Middleware;
};

declare global {
  namespace Express {
    interface Request {
      account?: Caller | null;
    }
  }
}
