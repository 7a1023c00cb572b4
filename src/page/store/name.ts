import type { WireName } from "../../wire/name.ts";

/** The name of a session. */
export type Name = WireName;

/** Returns a text that two names share exactly if they are equal. */
export function keyOf(name: Name): string {
  return JSON.stringify(name);
}

/** Whether a name is that of a session of the cluster. */
export function isGlobalName(name: Name): name is Exclude<Name, string | readonly unknown[]> {
  return typeof name === "object" && !Array.isArray(name);
}

/** Returns the name of a key, or undefined if the text is none. */
export function nameOfKey(key: string): Name | undefined {
  let value: unknown;
  try {
    value = JSON.parse(key);
  } catch {
    return undefined;
  }
  const local = typeof value === "object" && value !== null && "global" in value ? value.global : value;
  const first: unknown = Array.isArray(local) ? local[0] : local;
  // The server checks the rest.
  return typeof first === "string" ? (value as Name) : undefined;
}
