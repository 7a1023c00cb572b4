import { CastellanError } from "../../errors.ts";

/** Location of data in PostgreSQL. */
export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`, with parameters such as `?sslmode=verify-full`. */
  readonly postgres: string;
  /** Schema of the tables, created if missing. Default: `"castellan"`. */
  readonly schema?: string;
}

/** A checked location, and its name for messages. */
export interface PostgresLocation {
  /** Contains the password. */
  readonly url: string;
  readonly schema: string;
  /** For messages: without user, password and parameters. */
  readonly label: string;
}

/** PostgreSQL silently truncates longer names, so that two schemas could become one. */
const SCHEMA = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * Checks the options. No message shows the given URL, because it may contain a password.
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

/**
 * Returns undefined for an invalid URL, and for one in which part of the password may have ended up in the host or
 * path.
 */
function readable(postgres: string): URL | undefined {
  if (!/^postgres(ql)?:\/\//.test(postgres)) return undefined;
  // A URL with a user needs a host; that of a socket has none.
  const url = URL.parse(postgres.replace(/^([^/]+\/\/[^/?#]*@)\//, "$1localhost/"));
  if (url === null || url.hash !== "" || url.pathname.includes("@")) return undefined;
  return url.username === "" && url.search.includes("@") ? undefined : url;
}

function invalid(field: string, message: string): CastellanError<"INVALID_OPTIONS"> {
  return new CastellanError("INVALID_OPTIONS", `PostgreSQL: \`${field}\`: ${message}.`, {
    details: { problems: [{ field, message }] },
  });
}
