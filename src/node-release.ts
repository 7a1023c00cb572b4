/** The first release of Node.js that the library runs on. */
const FIRST_NODE = 24;

/** Why this release of Node.js cannot run the library; `undefined` if it can. */
export function nodeProblem(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= FIRST_NODE) return undefined;
  return `Castellan needs Node.js ${FIRST_NODE} or newer, and this is ${version}; install Node.js ${FIRST_NODE}`;
}
