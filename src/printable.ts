/**
 * What a terminal, or whoever lays text out, obeys instead of showing it: control characters of both sets, those that change the
 * direction of what follows, tags, half a pair. Line feeds and tabs are text, and the joiners are letters in some scripts.
 */
const OBEYED = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * The text as it may be shown on a terminal and in a log, whoever wrote it: what would be obeyed stands as `\u009b`. JSON stays what it
 * was to those who parse it.
 */
export function printable(text: string): string {
  return text.replace(OBEYED, escaped);
}

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
