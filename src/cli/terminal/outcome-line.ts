import type { SettledApproval } from "../../client/index.ts";
import { oneLine } from "./text.ts";

/** Says what became of an answer to a permission request. */
export function outcomeLine({ outcome, first }: SettledApproval, session: string, tool: string): string {
  const what = `${oneLine(tool)} of ${session} is ${outcome}`;
  return first ? what : `${what}; somebody else has answered before`;
}
