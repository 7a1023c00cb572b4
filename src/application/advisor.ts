import type { Logger } from "./options/supervisor-options.ts";

/** How much of what was told is remembered, so that it is told once. */
const MOST_KEPT = 1_000;

/**
 * Makes the function that tells somebody of options that do not do what they seem to do: the logger, or whoever reads the warnings of
 * this process. The same advice is told once, of the first session that it is about.
 */
export function advisor(logger: Logger | undefined): (who: string, advice: string) => void {
  const told = new Set<string>();
  return (who, advice) => {
    if (told.has(advice)) return;
    if (told.size >= MOST_KEPT) told.clear();
    told.add(advice);
    const message = `${who}: ${advice}`;
    if (logger === undefined) process.emitWarning(message, { type: "CastellanWarning", code: "OPTION_WITHOUT_EFFECT" });
    else logger.warn(message);
  };
}
