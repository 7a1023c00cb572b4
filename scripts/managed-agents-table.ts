import { CLIENT_EVENT_TYPES, REFUSED_EVENT_TYPES } from "../src/server/anthropic/requests.ts";
import { IN_CODE, type Operation, SUPPORTED, UNSUPPORTED } from "../src/server/anthropic/support-table.ts";
import { WIRE_EVENT_TYPES } from "../src/server/anthropic/wire-event.ts";

/** The path of the page of the Managed Agents API, relative to the root of the repository. */
export const MANAGED_AGENTS_PAGE = "docs/guide/managed-agents.md";

/** The table of what the server supports. */
export function supportTable(): string {
  const sent = WIRE_EVENT_TYPES.filter((type) => !type.startsWith("user."));
  return [
    "| operation | `client.beta.` | |",
    "|---|---|---|",
    ...SUPPORTED.map((operation) => row(operation, operation.note ?? "")),
    ...IN_CODE.map((operation) => row(operation, "403: agents change in the application's code")),
    ...UNSUPPORTED.map(({ path, sdk }) => `| \`${official(path)}\` | \`${sdk}\` | 404 |`),
    "",
    `Clients send ${list(CLIENT_EVENT_TYPES)}. The server refuses ${list(REFUSED_EVENT_TYPES)} with 400.`,
    "",
    `The server sends the events of clients, ${list(sent)}; to streams that ask for previews, \`event_start\` and \`event_delta\`. Only`,
    "streams have `session.usage` and `session.deleted`.",
  ].join("\n");
}

function row({ method, path, sdk }: Operation, note: string): string {
  return `| \`${method} ${official(path)}\` | \`${sdk}\` | ${note} |`;
}

function official(path: string): string {
  return `/v1${path.replace(/:(\w+)/g, "{$1}")}`;
}

function list(types: readonly string[]): string {
  return types.map((type) => `\`${type}\``).join(", ");
}
