import type { Member } from "./declarations.ts";
import { code, prose, table } from "./markdown.ts";

/** A table of the members of a type: name, type, meaning. An optional member has a `?`. */
export function memberTable(members: readonly Member[], head = "field"): string {
  const rows = members.map(({ name, type, optional, doc }) => [
    code(optional ? `${name}?` : name),
    code(type),
    prose(doc),
  ]);
  return table([head, "type", "meaning"], rows);
}
