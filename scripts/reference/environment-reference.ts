import { INHERITED, REFUSED_VARIABLES } from "../../src/claude/inherited-variables.ts";
import { code, prose, table } from "./markdown.ts";

/** The variables that processes inherit from the application, and those that none gets. */
export function environmentPart(): string {
  const refused = Object.entries(REFUSED_VARIABLES).map(([name, reason]) => [code(name), prose(reason)]);
  return `${INHERITED.map(code).join(", ")}.\n\n${table(["never passed on", "why"], refused).trimEnd()}`;
}
