/**
 * The promise by which `value` tells that it has ended, if it has one: `closed`, as sessions and supervisors have, or
 * `exited`, as children have.
 */
export function endingOf(value: unknown): PromiseLike<unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { closed, exited } = value as { readonly closed?: unknown; readonly exited?: unknown };
  return [closed, exited].find(isPromise);
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
