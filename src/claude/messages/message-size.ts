/** The size of everything but the texts: field names, numbers, ids. */
const REST = 256;

/** The size of a list or an object in a message. */
const PART = 16;

/** The deepest allowed nesting. JSON of any depth can be parsed, but writing, comparing and copying recurse. */
export const MOST_DEPTH = 1_000;

/** The message that was measured last. Its form is checked first, and then it is kept, so both need one walk. */
let last: { readonly message: object; readonly size: number } | undefined;

/** Whether a message is nested more than {@link MOST_DEPTH} deep. */
export function isTooDeep(message: object): boolean {
  const size = sizeWithin(message, MOST_DEPTH, Number.NaN);
  if (Number.isNaN(size)) return true;
  last = { message, size };
  return false;
}

/** Estimates the size of a message in characters: the texts in it, down to {@link MOST_DEPTH}. */
export function sizeOf(message: object): number {
  const size = last?.message === message ? last.size : sizeWithin(message, MOST_DEPTH, 0);
  // Nothing else needs it, and the message may be large.
  last = undefined;
  return REST + size;
}

/** Returns the size of the texts in a value. What is nested deeper than `depth` counts as `beyond`. */
function sizeWithin(value: object, depth: number, beyond: number): number {
  if (depth === 0) return beyond;
  let size = 0;
  for (const part of Object.values(value)) {
    if (typeof part === "string") size += part.length;
    else if (typeof part === "object" && part !== null) size += PART + sizeWithin(part, depth - 1, beyond);
  }
  return size;
}
