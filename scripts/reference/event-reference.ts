import { eventNames } from "../../src/events.ts";
import { Declarations, type Member } from "./declarations.ts";
import { code, prose } from "./markdown.ts";
import { memberTable } from "./member-table.ts";

const channels = new Declarations("src/events.ts");
const recorded = new Declarations("src/session/record/session-event-types.ts");

/** A section for each channel of `node:diagnostics_channel`, with the fields of its messages. */
export function channelsPart(): string {
  const events = new Map(channels.membersOf("CastellanEvents").map((event) => [event.name, event]));
  const missing = eventNames.filter((name) => !events.has(name));
  if (missing.length > 0) throw new Error(`src/events.ts does not declare ${missing.join(", ")}`);
  return [...events.values()].map((event) => section(event, channels)).join("\n\n");
}

/** A section for each event that a session's record keeps. */
export function recordedEventsPart(): string {
  return recorded
    .membersOf("RecordedEventFields")
    .map((event) => section(event, recorded))
    .join("\n\n");
}

/** A section for each event that only those who read at the time get. */
export function liveEventsPart(): string {
  return recorded
    .membersOf("LiveEventFields")
    .map((event) => section(event, recorded))
    .join("\n\n");
}

function section({ name, doc, node }: Member, declared: Declarations): string {
  const fields = declared.membersIn(node);
  return [
    `### ${code(name)}`,
    ...(doc === "" ? [] : [prose(doc)]),
    ...(fields.length === 0 ? [] : [memberTable(fields).trimEnd()]),
  ].join("\n\n");
}
