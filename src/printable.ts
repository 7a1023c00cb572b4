/**
 * Characters that a terminal or a text layout interprets instead of showing: both sets of control characters, direction changes, tags,
 * unpaired surrogates. Line feeds and tabs are text, and the joiners are letters in some scripts.
 */
const INTERPRETED = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/**
 * Escapes the control characters in untrusted text, such as `\u009b`, so that a terminal or a log can show it. JSON keeps its meaning.
 */
export function printable(text: string): string {
  return text.replace(INTERPRETED, escaped);
}

function escaped(character: string): string {
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
  return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
}
