/**
 * Escape character for what a database cannot store, followed by four hexadecimal digits: U+0000, which PostgreSQL
 * rejects and which ends a text in many functions of SQLite, and lone surrogates, which UTF-8 cannot encode. All other
 * text stays readable, and prefixes stay prefixes.
 */
const ESCAPE = "␐";

/** Returns the text in its stored form. */
export function toText(text: string): string {
  if (text.isWellFormed() && !text.includes("\0") && !text.includes(ESCAPE)) return text;
  return text.replace(/[\0␐\p{Surrogate}]/gu, (character) => {
    return ESCAPE + character.charCodeAt(0).toString(16).padStart(4, "0");
  });
}

/** Returns the original text. */
export function fromText(stored: string): string {
  if (!stored.includes(ESCAPE)) return stored;
  return stored.replace(/␐([\da-f]{4})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
