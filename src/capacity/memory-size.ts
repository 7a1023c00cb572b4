/** An amount of memory: a number of bytes, or a number with a unit such as `"500MB"` or `"1.5GB"`; a megabyte is 1,048,576 bytes. */
export type MemorySize = number | string;

/** The accepted forms of an amount of memory, for error messages. */
export const MEMORY_FORMS: string = 'bytes as a whole number above 0, or a string such as "500MB", "1.5GB"';

const UNITS: Readonly<Record<string, number>> = { B: 1, KB: 2 ** 10, MB: 2 ** 20, GB: 2 ** 30, TB: 2 ** 40 };

/** Returns `value` in bytes, or undefined if it is not an amount of memory. */
export function parseMemory(value: unknown): number | undefined {
  const bytes = typeof value === "string" ? bytesOf(value) : value;
  return typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes > 0 ? bytes : undefined;
}

/** Formats bytes for people: `"312 MB"`. */
export function formatMemory(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MB`;
}

function bytesOf(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,15}(?:\.\d{1,6})?) ?([kmgt]?b)$/i.exec(text) ?? [];
  const factor = unit === undefined ? undefined : UNITS[unit.toUpperCase()];
  return factor === undefined ? undefined : Math.round(Number(number) * factor);
}
