import { isGlobalName, type Name } from "./name.ts";

/** Controls, and characters that reorder or hide text: a name with them would look like another one. */
const MISLEADING = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

/** Returns a text whose misleading characters are visible, as `\u202e`. */
export function plain(text: string): string {
  return text.replace(MISLEADING, (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`);
}

/** Returns why something failed, for people. */
export function messageOf(error: unknown): string {
  return plain(error instanceof Error ? error.message : String(error));
}

/** Returns a name for people: `assistant`, `support / 42`, and with `global` before it one of a cluster. */
export function shownName(name: Name): string {
  if (isGlobalName(name)) return `global ${shownName(name.global)}`;
  return plain(typeof name === "string" ? name : name.join(" / "));
}

/** Colours and cursor movements of terminals: `CSI`, `OSC` and single escapes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that it removes
const TERMINAL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g;

/** Returns a text of several lines without terminal sequences, and with its other misleading characters visible. */
export function plainLines(text: string): string {
  return text
    .replace(TERMINAL, "")
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.split("\t").map(plainButJoiners).join("\t"))
    .join("\n");
}

/** Joiners and variation selectors belong to scripts and emoji. */
function plainButJoiners(text: string): string {
  return text
    .split(/([\u200c\u200d])/)
    .map((part) => (part === "\u200c" || part === "\u200d" ? part : plain(part)))
    .join("");
}

/** Controls, characters that reorder or hide text or that nobody sees, and spaces that are none. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2028\u2029\u2800]|(?! )\p{Zs}/gu;

/**
 * Returns a text of several lines in which whatever nobody would see is visible, terminal sequences too: for what somebody decides
 * about. Tabs and line breaks stay.
 */
export function exactLines(text: string): string {
  return text.replace(UNSEEN, (character) => {
    if (character === "\n" || character === "\t") return character;
    const code = (character.codePointAt(0) ?? 0).toString(16);
    return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, "0")}`;
  });
}
