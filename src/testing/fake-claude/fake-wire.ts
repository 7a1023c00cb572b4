/** A line of the stream-json protocol between Claude Code and the Agent SDK. */
export interface WireMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Any JSON object from the wire. */
export type WireObject = { readonly [field: string]: unknown };

export function isObject(value: unknown): value is WireObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The string in `field`, or `undefined`. */
export function stringOf(object: WireObject, field: string): string | undefined {
  const value = object[field];
  return typeof value === "string" ? value : undefined;
}

/** The object in `field`, or an empty one. */
export function objectOf(object: WireObject, field: string): WireObject {
  const value = object[field];
  return isObject(value) ? value : {};
}

/** The array in `field`, or an empty one. */
export function listOf(object: WireObject, field: string): readonly unknown[] {
  const value = object[field];
  return Array.isArray(value) ? value : [];
}

/** Parses a line. Returns `undefined` if it is not a JSON object; like the real process, the fake ignores such a line. */
export function parseLine(line: string): WireObject | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
