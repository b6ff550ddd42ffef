/** An account, as `docs/contracts/latchkey.md#account` in Latchkey's repository. */
export interface Account {
  id: number;
  username: string | null;
  email: string | null;
  email_verified: boolean;
  first_name: string | null;
  last_name: string | null;
  /** The URL of the picture. `?size=64` and `?size=512` select another size than 256 pixels. */
  picture: string | null;
  /** RFC 3339, in UTC, like all times. */
  created: string;
  last_login: string | null;
}

/** A session, as `docs/contracts/latchkey.md#session`. */
export interface Session {
  id: string;
  dialect: string;
  kind: string;
  device: string | null;
  created: string;
  last_used: string;
  expires: string;
  /** Whether it is the session of this client. */
  current: boolean;
}

/** What a login or a registration opened. Its token is in the storage. */
export interface Opened {
  account: Account;
  session: Session;
}

/** A picture of the gallery. */
export interface GalleryPicture {
  id: number;
  group: string;
  name: string;
  url: string;
}

/** A field that is wrong. Codes: `docs/errors.md#codes-of-fields`. */
export interface FieldError {
  /** Empty if the body as a whole is wrong. */
  field: string;
  code: string;
  /** In English. */
  message: string;
}

export interface Registration {
  /** Required if there is no `email`. */
  username?: string;
  email?: string;
  password: string;
  first_name?: string;
  last_name?: string;
  /** What the list of sessions shows; by default the client's option. */
  device?: string;
}

/** `null` removes a name. */
export interface AccountChange {
  username?: string;
  first_name?: string | null;
  last_name?: string | null;
}

/** Where the token is kept. `get` returns null or undefined if there is none. */
export interface TokenStorage {
  get(): string | null | undefined | Promise<string | null | undefined>;
  set(token: string): unknown;
  remove(): unknown;
}

/** Keeps the token until the page or the process ends. */
export class MemoryStorage implements TokenStorage {
  get(): string | null;
  set(token: string): void;
  remove(): void;
}

/** Keeps the token in `localStorage`, `sessionStorage`, or React Native's AsyncStorage. */
export class ItemStorage implements TokenStorage {
  constructor(
    items: {
      getItem(key: string): string | null | Promise<string | null>;
      setItem(key: string, value: string): unknown;
      removeItem(key: string): unknown;
    },
    key?: string,
  );
  get(): string | null | Promise<string | null>;
  set(token: string): unknown;
  remove(): unknown;
}

/** Keeps the token in the keychain of iOS or the keystore of Android, by `expo-secure-store`. */
export class SecureStorage implements TokenStorage {
  constructor(
    store: {
      getItemAsync(key: string): Promise<string | null>;
      setItemAsync(key: string, value: string): Promise<unknown>;
      deleteItemAsync(key: string): Promise<unknown>;
    },
    key?: string,
  );
  get(): Promise<string | null>;
  set(token: string): Promise<unknown>;
  remove(): Promise<unknown>;
}

/** The server rejected the request, or a proxy did. */
export class Problem extends Error {
  readonly name: string;
  readonly status: number;
  /** A code of `docs/errors.md`; null if a proxy responded. */
  readonly code: string | null;
  /** Seconds to wait, of a 429 and a 503. */
  readonly retryAfter: number | null;
  /** The server's log has this id, too. Browsers and proxies may hide it. */
  readonly requestId: string | null;
  /** Whether the token is not valid: a 401 with a code that begins with `token_`. */
  get endsSession(): boolean;
}

/** Fields are wrong (`invalid_fields`), or their values are taken (`taken`). */
export class InvalidFields extends Problem {
  readonly fields: FieldError[];
  /** Return the errors of one field. */
  of(field: string): FieldError[];
}

/** There was no response of Latchkey. A request that changes something may have had its effect. */
export class ConnectionProblem extends Error {
  readonly name: "ConnectionProblem";
  readonly code: "unreachable" | "timeout" | "unexpected_response";
}

export interface ClientOptions {
  /** By default a `MemoryStorage`. */
  storage?: TokenStorage;
  /** The label of this device in the list of sessions; by default its `User-Agent`. */
  device?: string;
  /** Called once when the session has ended, to show the login. The token is removed. */
  onSessionEnd?: (problem: Problem) => void;
  /** Seconds that a request waits in all if a 429 or 503 asks it to; 10 by default, 0 for never. */
  maxWait?: number;
  /** Seconds that an attempt may take, with its body; 30 by default. */
  timeout?: number;
  fetch?: typeof fetch;
}

export interface CallOptions {
  /** Ends the request, and a wait before it is repeated, with the signal's reason. */
  signal?: AbortSignal;
  /** Seconds that an attempt may take; by default the client's option. */
  timeout?: number;
}

/**
 * A client of Latchkey's API for one user of an app.
 *
 * Each method rejects with a `Problem` if the server rejects the request, with a
 * `ConnectionProblem` if there is no response, and with the reason of an aborted `signal`.
 */
export class Latchkey {
  /** `server` is the URL below which `/v1/` is. */
  constructor(server: string, options?: ClientOptions);
  /** Return the stored token, null if the user is not logged in. Send it to your own API only. */
  token(): Promise<string | null>;

  register(fields: Registration, options?: CallOptions): Promise<Opened>;
  /** `login` is a username or an e-mail address. */
  logIn(login: string, password: string, options?: CallOptions): Promise<Opened>;
  /** End the session. It rejects, and keeps the token, if the server cannot be reached. */
  logOut(options?: CallOptions): Promise<void>;

  sessions(options?: CallOptions): Promise<Session[]>;
  endSession(id: string, options?: CallOptions): Promise<void>;
  endOtherSessions(options?: CallOptions): Promise<void>;
  /** End all sessions of the account, this one included. */
  endAllSessions(options?: CallOptions): Promise<void>;

  account(options?: CallOptions): Promise<Account>;
  changeAccount(fields: AccountChange, options?: CallOptions): Promise<Account>;
  deleteAccount(password: string, options?: CallOptions): Promise<void>;

  /** Change the password; all other sessions end. Return this device's new session. */
  changePassword(current: string, password: string, options?: CallOptions): Promise<Session>;
  /** Send a link to the new address, which changes it. */
  changeEmail(email: string, password: string, options?: CallOptions): Promise<void>;
  resendVerification(options?: CallOptions): Promise<void>;
  /** Verify or change an address with the token of a link. It needs no login. */
  verifyEmail(linkToken: string, options?: CallOptions): Promise<Account>;

  /** Send a link to the address, if an account has it. */
  requestPasswordReset(email: string, options?: CallOptions): Promise<void>;
  /** Reject with `link_invalid` or `link_expired` if the link cannot be used. */
  checkPasswordReset(linkToken: string, options?: CallOptions): Promise<void>;
  /** Set the password, end all sessions, and log in. */
  resetPassword(linkToken: string, password: string, options?: CallOptions): Promise<Opened>;

  gallery(options?: CallOptions): Promise<GalleryPicture[]>;
  /** Choose a picture of the gallery; return its URL. */
  choosePicture(id: number, options?: CallOptions): Promise<string>;
  /** Upload an image; return its URL. */
  uploadPicture(image: Blob | ArrayBuffer | Uint8Array, options?: CallOptions): Promise<string>;
  removePicture(options?: CallOptions): Promise<void>;
}
