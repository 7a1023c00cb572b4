import { nameProblem, type SessionName } from "../../names.ts";

/**
 * Reads the name of a session as people type it: `assistant`, or as JSON `["support", 42]`.
 *
 * @returns the name, or what is wrong with it
 */
export function typedName(
  text: string,
):
  | { readonly name: SessionName; readonly problem?: undefined }
  | { readonly name?: undefined; readonly problem: string } {
  const typed = text.trim();
  if (typed === "") return { problem: "Type a name." };
  const value = typed.startsWith("[") ? parsed(typed) : typed;
  if (value === undefined) return { problem: 'A name of several parts is a list, such as ["support", 42].' };
  const problem = nameProblem(value);
  if (problem !== undefined) return { problem: `This is no name: ${problem}.` };
  // The check has just established it.
  return { name: value as SessionName };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
