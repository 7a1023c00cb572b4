const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/**
 * Returns the mappings of a source map with the first segment of each line only, and without names: a stack trace finds its line by
 * that, in a fifth of the space.
 *
 * @param mappings as the source map format has them: lines by `;`, segments by `,`, in Base64 VLQ
 */
export function lineMappings(mappings: string): string {
  // Of the segment that was read and of the one that was written last: source, line, column.
  const read = [0, 0, 0];
  const written = [0, 0, 0];
  const lines = mappings.split(";").map((line) => {
    let first: number[] | undefined;
    for (const segment of line.split(",")) {
      const fields = decoded(segment);
      // A segment with less fields has no source.
      if (fields.length < 4) continue;
      for (let at = 0; at < 3; at++) read[at] = (read[at] ?? 0) + (fields[at + 1] ?? 0);
      first ??= [...read];
    }
    if (first === undefined) return "";
    const differences = first.map((value, at) => value - (written[at] ?? 0));
    written.splice(0, 3, ...first);
    return [0, ...differences].map(encoded).join("");
  });
  return lines.join(";");
}

function decoded(segment: string): number[] {
  const values: number[] = [];
  let [value, shift] = [0, 0];
  for (const digit of segment) {
    const bits = DIGITS.indexOf(digit);
    value += (bits & 31) << shift;
    shift += 5;
    if ((bits & 32) !== 0) continue;
    values.push((value & 1) === 1 ? -(value >> 1) : value >> 1);
    [value, shift] = [0, 0];
  }
  return values;
}

function encoded(value: number): string {
  let rest = value < 0 ? (-value << 1) | 1 : value << 1;
  let text = "";
  do {
    const more = rest > 31 ? 32 : 0;
    text += DIGITS[(rest & 31) | more];
    rest >>= 5;
  } while (rest > 0);
  return text;
}
