import { CastellanError } from "../../errors.ts";

/** Where in PostgreSQL something is kept. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, with parameters such as `?sslmode=verify-full` if need be. */
  readonly postgres: string;
  /** The schema that holds the tables; it is created if it is not there. Default: `"castellan"`. */
  readonly schema?: string;
}

/** A place in PostgreSQL that can be talked about. */
export interface PostgresLocation {
  /** With the password. */
  readonly url: string;
  readonly schema: string;
  /** For messages: without user, password and parameters. */
  readonly label: string;
}

/** PostgreSQL cuts longer names off in silence, so that two schemas could become one. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * Checks the options and names the place. No message shows what was given, because a password may be in it.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function postgresLocation({ postgres, schema = "castellan" }: PostgresOptions): PostgresLocation {
  if (!SCHEMA.test(schema)) {
    throw invalid("schema", "expected a name of at most 63 lower-case letters, digits and underscores");
  }
  const url = typeof postgres === "string" ? readable(postgres) : undefined;
  if (url === undefined) {
    throw invalid(
      "postgres",
      "expected a URL such as postgres://user:password@host:5432/database, in which special characters of the password are escaped as encodeURIComponent does; what was given is not shown, because it may hold a password",
    );
  }
  const host = url.searchParams.get("host") ?? (url.hostname || "localhost");
  const port = url.searchParams.get("port") ?? (url.port || "5432");
  return { url: postgres, schema, label: `postgres://${host}:${port}${url.pathname} (schema ${schema})` };
}

/** `undefined` if it is none, or if a part of what may be the password stands where the host or the path should. */
function readable(postgres: string): URL | undefined {
  if (!/^postgres(ql)?:\/\//.test(postgres)) return undefined;
  // The host of a URL with a user may not be empty, but that of a server behind a socket is.
  const url = URL.parse(postgres.replace(/^([^/]+\/\/[^/?#]*@)\//, "$1localhost/"));
  if (url === null || url.hash !== "" || url.pathname.includes("@")) return undefined;
  return url.username === "" && url.search.includes("@") ? undefined : url;
}

function invalid(field: string, message: string): CastellanError<"INVALID_OPTIONS"> {
  return new CastellanError("INVALID_OPTIONS", `PostgreSQL: \`${field}\`: ${message}.`, {
    details: { problems: [{ field, message }] },
  });
}
