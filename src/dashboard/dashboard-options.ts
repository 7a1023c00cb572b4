import { z } from "zod";
import type { Logger } from "../application/options/supervisor-options.ts";
import type { Authenticate } from "../server/access/authentication.ts";
import { hostOf } from "../server/access/hosts.ts";
import { TokenStore } from "../server/access/token-store.ts";
import { invalidOptions, validate } from "../session/options/validation.ts";

/** Options of a dashboard. */
export interface DashboardOptions {
  /**
   * Who may use the page. A path or a store: whoever logs in with one of these tokens, within its scopes and reach. A function: the
   * application's own authentication, which gets each request without its body. `false`: everybody who reaches the handler. Required.
   */
  auth: string | TokenStore | Authenticate | false;
  /** The path under which the handler is mounted: `/admin/agents`. Default `"/dashboard"`. */
  basePath?: string;
  /** Whether the page changes nothing, whatever its users' scopes allow. Default `false`. */
  readOnly?: boolean;
  /**
   * The names of this server that a `Host` header may have, without port, besides those of the loopback interface. Default: any, but
   * none with `auth: false`.
   */
  hosts?: readonly string[];
  /** Gets a line for each request of the page to the API, and one for each failure. Default: none. */
  logger?: Logger;
}

/** {@link DashboardOptions} with their defaults. */
export interface DashboardSettings {
  readonly auth: TokenStore | Authenticate | false;
  readonly basePath: string;
  readonly readOnly: boolean;
  readonly hosts: readonly string[] | undefined;
  readonly logger: Logger | undefined;
}

const schema = z.strictObject({
  auth: z
    .union([
      z.string().min(1),
      z.instanceof(TokenStore),
      z.literal(false),
      z.custom<Authenticate>((value) => typeof value === "function"),
    ])
    .optional(),
  basePath: z
    .string()
    .regex(/^(?:\/[\w.~-]+)+$/, "expected a path such as /dashboard, without a slash at its end")
    .default("/dashboard"),
  readOnly: z.boolean().default(false),
  hosts: z
    .array(
      z.string().refine((host) => hostOf(host) !== undefined && !/:\d+$/.test(host), "expected a name without port"),
    )
    .optional(),
  logger: z
    .custom<Logger>(
      (value) => typeof value === "object" && value !== null && ["info", "warn"].every((level) => level in value),
      "expected an object with the methods `info` and `warn`",
    )
    .optional(),
});

/** Validates the options and applies their defaults. @throws CastellanError `INVALID_OPTIONS`, also without `auth` */
export function dashboardSettings(options: DashboardOptions): DashboardSettings {
  const { auth, basePath, readOnly, hosts, logger } = validate(schema, options, "dashboard");
  if (auth === undefined) {
    const message =
      "expected the path of the tokens, or a function that finds out who asks; write `false` to let everybody in who reaches the handler";
    throw invalidOptions("dashboard", [{ field: "auth", message }]);
  }
  return {
    auth: typeof auth === "string" ? new TokenStore(auth) : auth,
    basePath,
    readOnly,
    // A page that rebinds its name needs no token either.
    hosts: hosts ?? (auth === false ? [] : undefined),
    logger,
  };
}
