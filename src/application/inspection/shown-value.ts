/** Options of which the value, or a part of it, may be a secret. */
const SECRET: ReadonlySet<string> = new Set([
  "agents",
  "apiKey",
  "env",
  "executableArgs",
  "extraArgs",
  "journal",
  "logger",
  "managedSettings",
  "mcpServers",
  "plugins",
  "sandbox",
  "settings",
  "toolConfig",
]);

/** What stands in the place of a secret. */
const HIDDEN = "[hidden]";

/**
 * The value of an option as it may be shown and logged, as data: what can be a secret is left out, and of what is no data it is
 * only said what it is.
 */
export function shownValue(option: string, value: unknown): unknown {
  if (!SECRET.has(option)) return plain(value);
  // As an object it is the name of a variable, which is no secret.
  if (option === "apiKey") return typeof value === "string" ? HIDDEN : value;
  // Settings are the path of a file, or all that would be in it.
  if (typeof value === "string") return value.trimStart().startsWith("{") ? HIDDEN : value;
  if (typeof value !== "object" || value === null) return value;
  return Array.isArray(value) ? value.map(() => HIDDEN) : Object.keys(value);
}

function plain(value: unknown): unknown {
  if (typeof value === "function") return "[function]";
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return `[${value.constructor.name}]`;
  return Object.fromEntries(Object.entries(value).map(([field, part]) => [field, plain(part)]));
}
