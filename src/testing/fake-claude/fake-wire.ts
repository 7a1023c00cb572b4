/** One line of the stream-json protocol that Claude Code and the Agent SDK speak. */
export interface WireMessage {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** Any JSON object, as it came off the wire. */
export type WireObject = { readonly [field: string]: unknown };

export function isObject(value: unknown): value is WireObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The string under `field`, or `undefined` where there is none. */
export function stringOf(object: WireObject, field: string): string | undefined {
  const value = object[field];
  return typeof value === "string" ? value : undefined;
}

/** The object under `field`, or an empty one. */
export function objectOf(object: WireObject, field: string): WireObject {
  const value = object[field];
  return isObject(value) ? value : {};
}

/** The list under `field`, or an empty one. */
export function listOf(object: WireObject, field: string): readonly unknown[] {
  const value = object[field];
  return Array.isArray(value) ? value : [];
}

/** What a line says, or `undefined` if it is no JSON object: the real Claude Code ignores such lines, and so does the fake. */
export function parseLine(line: string): WireObject | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
