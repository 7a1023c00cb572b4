/**
 * The first release of Claude Code that accepts prompts as plain text. Earlier ones ignore the request and expand the
 * prompt.
 */
const OLDEST = "2.1.248";

/** Returns why this release of Claude Code cannot be used, or undefined. An unknown release may be any. */
export function releaseProblem(version: string | undefined): string | undefined {
  if (version === undefined || !/^\d+\.\d+\.\d+/.test(version) || !isBefore(version, OLDEST)) return undefined;
  return `Claude Code ${version} is older than ${OLDEST}, and would run commands and expand files in users' prompts; update it`;
}

function isBefore(one: string, other: string): boolean {
  const [ones, others] = [numbersOf(one), numbersOf(other)];
  const at = ones.findIndex((number, index) => number !== others[index]);
  return at !== -1 && (ones[at] ?? 0) < (others[at] ?? 0);
}

function numbersOf(version: string): number[] {
  return version.split(".", 3).map((part) => Number.parseInt(part, 10));
}
