/** What a message has besides its texts: names of fields, numbers, ids. */
const REST = 256;

/**
 * About how many characters a message has: those of the texts in it, however deep they stand. What is deeper than any call stack is
 * measured as well.
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
