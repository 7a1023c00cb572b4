/** The size of everything but the texts: field names, numbers, ids. */
const REST = 256;

/**
 * Estimates the size of a message in characters: the texts in it, at any depth. Works iteratively, so that deep nesting
 * cannot overflow the stack.
 */
export function sizeOf(message: object): number {
  let size = REST;
  const open: object[] = [message];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const value of Object.values(next)) {
      if (typeof value === "string") size += value.length;
      else if (typeof value === "object" && value !== null) {
        size += 16;
        open.push(value);
      }
    }
  }
  return size;
}
