/**
 * What a database cannot keep is written as this and four hexadecimal digits: U+0000, which PostgreSQL refuses and where many
 * functions of SQLite end a text, and halves of surrogate pairs, which UTF-8 does not have. All else stays readable for
 * people and other tools, and a text that begins with another one still does.
 */
const ESCAPE = "␐";

/** A text as it is stored. */
export function toText(text: string): string {
  if (text.isWellFormed() && !text.includes("\0") && !text.includes(ESCAPE)) return text;
  return text.replace(/[\0␐\p{Surrogate}]/gu, (character) => {
    return ESCAPE + character.charCodeAt(0).toString(16).padStart(4, "0");
  });
}

/** The text that was stored so. */
export function fromText(stored: string): string {
  if (!stored.includes(ESCAPE)) return stored;
  return stored.replace(/␐([\da-f]{4})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}
