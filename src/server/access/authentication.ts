import { z } from "zod";
import type { Clock } from "../../clock.ts";
import { nameSchema, validate } from "../../session/options/validation.ts";
import { type Caller, SCOPES, type Scope } from "../http/caller.ts";
import { RequestError } from "../http/request-error.ts";
import { callerOf, isValid, parseToken, proves, sentTokens } from "./token.ts";
import type { TokenStore } from "./token-store.ts";

/**
 * The application's own authentication. Returns who makes the request, or undefined to leave it to the tokens. Gets the request without
 * its body.
 */
export type Authenticate = (request: Request) => Caller | undefined | Promise<Caller | undefined>;

/** Who is trusted without a token: everybody who reaches a loopback port or the socket of the server's own user. */
export const LOCAL_CALLER: Caller = { id: "local", scopes: new Set(SCOPES) };

const callerSchema = z.strictObject({
  id: z.string().min(1).max(200),
  scopes: z.custom<ReadonlySet<Scope>>(
    (value) => value instanceof Set && [...value].every((scope) => SCOPES.includes(scope)),
    `expected a Set of ${SCOPES.join(", ")}`,
  ),
  prefix: nameSchema.optional(),
  labels: z.record(z.string(), z.string()).optional(),
});

export interface AuthenticationDeps {
  readonly authenticate: Authenticate | undefined;
  readonly tokens: TokenStore | undefined;
  readonly clock: Pick<Clock, "now">;
}

/** Finds out who makes a request. */
export class Authentication {
  readonly #deps: AuthenticationDeps;

  constructor(deps: AuthenticationDeps) {
    this.#deps = deps;
  }

  /**
   * Returns who makes the request.
   *
   * @throws RequestError `UNAUTHENTICATED`; CastellanError `INVALID_OPTIONS` if `authenticate` returns something else than a caller, or
   * the tokens cannot be used; whatever `authenticate` throws
   */
  async callerOf(request: Request): Promise<Caller> {
    const { authenticate } = this.#deps;
    const own = authenticate === undefined ? undefined : await authenticate(headOf(request));
    const caller = own === undefined ? await this.#byToken(request.headers) : checked(own);
    if (caller !== undefined) return caller;
    // Says no more: not whether the token is known, expired or revoked.
    throw new RequestError("UNAUTHENTICATED", "The request has no valid token. Send `Authorization: Bearer <token>`.");
  }

  async #byToken(headers: Headers): Promise<Caller | undefined> {
    const { tokens, clock } = this.#deps;
    if (tokens === undefined) return undefined;
    for (const sent of sentTokens(headers)) {
      const token = parseToken(sent);
      if (token === undefined) continue;
      const stored = await tokens.find(token.id);
      if (proves(token.secret, stored) && stored !== undefined && isValid(stored, clock.now())) return callerOf(stored);
    }
    return undefined;
  }
}

/** Returns a caller of the application, checked, so that a mistake in the application denies instead of allows. */
function checked(caller: Caller): Caller {
  const { id, scopes, prefix, labels } = validate(callerSchema, caller, "authenticate");
  return { id, scopes, ...(prefix !== undefined && { prefix }), ...(labels !== undefined && { labels }) };
}

/** The routes read the body, which can be read once. */
function headOf({ url, method, headers }: Request): Request {
  return new Request(url, { method, headers });
}
