import type { GlobalSessionListQuery } from "../wire/cluster.ts";
import type { WireName } from "../wire/name.ts";
import type { SessionListQuery } from "../wire/session.ts";

/** The values of a query. Undefined values are left out; lists become repeated parameters. */
export type QueryValues = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

/** Returns a path and its query. */
export function pathOf(parts: readonly string[], query: QueryValues = {}): string {
  const parameters = Object.entries(query).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const values = typeof value === "object" ? value : [String(value)];
    return values.map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`);
  });
  const path = parts.map((part) => `/${encodeURIComponent(part)}`).join("");
  return parameters.length === 0 ? path : `${path}?${parameters.join("&")}`;
}

/** Returns a name as it stands in a path or a query, before it is encoded. */
export function nameText(name: WireName): string {
  return JSON.stringify(name);
}

/** Returns a new idempotency key. Browsers have `crypto.randomUUID` only on pages with HTTPS. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Returns the query of a list of sessions as the API takes it in a URL. */
export function listParameters({
  labels,
  prefix,
  after,
  ...rest
}: SessionListQuery | GlobalSessionListQuery): QueryValues {
  const label = labels && Object.entries(labels).map(([name, value]) => `${name}:${value}`);
  return { label, ...rest, prefix: prefix && nameText(prefix), after: after && nameText(after) };
}
