/** A field of a table. */
export type Field = string | number;

/** What a spreadsheet would take for a formula, also behind spaces. */
const FORMULA = /^\s*[=+\-@]/;

/** Returns a table as CSV (RFC 4180). A text that spreadsheets would run as a formula begins with an apostrophe. */
export function csvOf(head: readonly string[], rows: readonly (readonly Field[])[]): string {
  return [head, ...rows].map((row) => `${row.map(fieldText).join(",")}\r\n`).join("");
}

function fieldText(field: Field): string {
  if (typeof field === "number") return String(field);
  const safe = FORMULA.test(field) || /^[\t\r]/.test(field) ? `'${field}` : field;
  return /[",\r\n]/.test(safe) || safe !== safe.trim() ? `"${safe.replaceAll('"', '""')}"` : safe;
}
