import type { Clock } from "../clock.ts";
import { Authentication, LOCAL_CALLER } from "../server/access/authentication.ts";
import { TokenStore } from "../server/access/token-store.ts";
import type { Caller } from "../server/http/caller.ts";
import type { DashboardSettings } from "./dashboard-options.ts";
import { tokenInCookie } from "./login-cookie.ts";

/** Finds out who uses the page, and what they may do. */
export class PageAccess {
  readonly #settings: DashboardSettings;
  readonly #authentication: Authentication;

  constructor(settings: DashboardSettings, clock: Clock) {
    const { auth } = settings;
    this.#settings = settings;
    this.#authentication = new Authentication({
      authenticate: typeof auth === "function" ? auth : undefined,
      tokens: auth instanceof TokenStore ? auth : undefined,
      clock,
    });
  }

  /**
   * Returns the caller of a request of the page.
   *
   * @param trusted whether whoever reaches the server needs no token
   * @throws RequestError `UNAUTHENTICATED`; whatever the application's function throws
   */
  async callerOf(request: Request, trusted: boolean): Promise<Caller> {
    const { auth } = this.#settings;
    if (trusted || auth === false) return this.#restricted(LOCAL_CALLER);
    if (typeof auth === "function") return this.#restricted(await this.#authentication.callerOf(request));
    return this.#restricted(await this.callerByToken(tokenInCookie(request.headers) ?? ""));
  }

  /** Returns the caller of a token. @throws RequestError `UNAUTHENTICATED` */
  async callerByToken(token: string): Promise<Caller> {
    // Whatever else was sent with the request is no login.
    const headers = /^[\w-]+$/.test(token) ? { authorization: `Bearer ${token}` } : {};
    return await this.#authentication.callerOf(new Request("http://localhost/", { headers }));
  }

  #restricted(caller: Caller): Caller {
    if (!this.#settings.readOnly) return caller;
    return { ...caller, scopes: new Set([...caller.scopes].filter((scope) => scope === "read")) };
  }
}
