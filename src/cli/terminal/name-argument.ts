import { InvalidArgumentError } from "commander";
import { nameProblem, type SessionName } from "../../names.ts";

/** The forms of a name on the command line, for help. */
export const NAME_FORMS = 'a name: assistant, support/42 for ["support",42], or JSON';

/** A name on the command line: of a session of the server's supervisor, or of one of its cluster. */
export type NameArgument = SessionName | { readonly global: SessionName };

const GLOBAL = "global:";

/**
 * Parses a name: `assistant`; `support/42` for `["support",42]`, where parts of digits are numbers; the same as JSON; `global:support/42`
 * for a global one.
 *
 * @throws InvalidArgumentError, which commander reports
 */
export function parseName(text: string): NameArgument {
  return text.startsWith(GLOBAL) ? { global: parseLocalName(text.slice(GLOBAL.length)) } : parseLocalName(text);
}

/** Parses a name that is not global. @throws InvalidArgumentError, which commander reports */
export function parseLocalName(text: string): SessionName {
  const value = /^["[]/.test(text) ? jsonOf(text) : partsOf(text);
  const problem = nameProblem(value);
  if (problem !== undefined) throw new InvalidArgumentError(`Expected ${NAME_FORMS}; this is ${problem}.`);
  return value as SessionName;
}

/** Formats a name as {@link parseName} takes it. */
export function nameArgument(name: NameArgument): string {
  if (typeof name === "object" && "global" in name) return `${GLOBAL}${nameArgument(name.global)}`;
  const text = typeof name === "string" ? name : name.map(String).join("/");
  const isSame =
    !/^["[]/.test(text) && !text.startsWith(GLOBAL) && JSON.stringify(partsOf(text)) === JSON.stringify(name);
  return isSame ? text : JSON.stringify(name);
}

function partsOf(text: string): unknown {
  if (!text.includes("/")) return text;
  return text.split("/").map((part, at) => (at > 0 && /^(?:0|-?[1-9]\d{0,14})$/.test(part) ? Number(part) : part));
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError(`Expected ${NAME_FORMS}; this is not valid JSON.`);
  }
}
