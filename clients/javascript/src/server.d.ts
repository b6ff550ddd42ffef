/** The account of a valid token, and its session. */
export interface Caller {
  id: number;
  username: string | null;
  email: string | null;
  email_verified: boolean;
  is_staff: boolean;
  is_superuser: boolean;
  session: {
    /** The public id, with which the session can be ended. It is not secret. */
    id: string;
    /** The dialect that opened the session. */
    dialect: string;
    kind: string;
  };
}

/**
 * The response to a request without a valid token (401), with a header that is too large (431),
 * or in an outage (503).
 */
export interface Refusal {
  status: 401 | 431 | 503;
  headers: Record<string, string>;
  body: string;
}

export interface VerifierOptions {
  /** Seconds until Latchkey counts as unavailable; 3 by default. */
  timeout?: number;
  /** The maximum number of connections, which are kept open; 100 by default. */
  connections?: number;
  /** Called with the reason of each 503, for the log. It contains no token. */
  onUnavailable?: (reason: Error) => void;
}

/** Authenticates the requests of any Node.js server. Make one for the whole process. */
export class Verifier {
  /**
   * `url` is that of Latchkey. With the name of a dialect behind it (`https://…/fardel`), the
   * body of a 401 is in that dialect's wording.
   */
  constructor(url: string, options?: VerifierOptions);
  /**
   * Authenticate an `Authorization` header. If `refusal` is not null, send it instead of a
   * response of yours. `account` is null otherwise only for a request without a token that
   * `isOptional` allows. It never rejects.
   */
  verify(
    authorization: string | undefined,
    options?: { isOptional?: boolean },
  ): Promise<{ account: Caller | null; refusal: Refusal | null }>;
  /** Close the connections. */
  close(): void;
}
