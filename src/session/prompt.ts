import { invalidOptions } from "./validation.ts";

/** The longest prompt, in characters. Claude Code takes 5 MB in one message; what a model can read is far less. */
const LONGEST_PROMPT = 20_000_000;

/**
 * Refuses what is no prompt.
 *
 * @throws CastellanError `INVALID_OPTIONS`
 */
export function checkPrompt(prompt: unknown, who: string): asserts prompt is string {
  const problem =
    typeof prompt !== "string"
      ? `expected text; given was ${prompt === null ? "null" : Array.isArray(prompt) ? "an array" : `a value of type ${typeof prompt}`}`
      : prompt.trim() === ""
        ? "is empty"
        : prompt.length > LONGEST_PROMPT
          ? `has ${prompt.length} characters; at most ${LONGEST_PROMPT} are allowed`
          : undefined;
  if (problem !== undefined) throw invalidOptions(`turn of ${who}`, [{ field: "prompt", message: problem }]);
}
