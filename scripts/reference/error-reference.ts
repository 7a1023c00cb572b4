import { exitCodeOf } from "../../src/cli/terminal/exit-code.ts";
import type { CastellanError, ErrorCode } from "../../src/errors.ts";
import { statusOf } from "../../src/server/http/http-error.ts";
import { Declarations, type Member } from "./declarations.ts";
import { code, prose } from "./markdown.ts";
import { memberTable } from "./member-table.ts";

const SOURCE = "src/errors.ts";

const declared = new Declarations(SOURCE);

const errors: ReadonlyMap<string, Member> = new Map(
  declared.membersOf("ErrorDetails").map((error) => [error.name, error]),
);

/** All codes of errors. */
export const ERROR_CODES: readonly ErrorCode[] = [...errors.keys()] as ErrorCode[];

/** What a code means, its statuses, and a table of its details. @throws Error if the code has no doc comment */
export function errorPart(of: ErrorCode): string {
  const error = errors.get(of);
  if (error === undefined || error.doc === "") throw new Error(`${of} has no doc comment in ${SOURCE}`);
  const details = declared.membersIn(error.node);
  const exit = exitCodeOf(Object.assign(new Error(), { code: of }));
  return [
    prose(error.doc),
    `HTTP status ${statusesOf(of, details)}. Exit code ${exit}.`,
    ...(details.length === 0 ? [] : [memberTable(details, "in `details`").trimEnd()]),
  ].join("\n\n");
}

type Failure = CastellanError<"TURN_FAILED">["details"]["class"];

/** The status of a code. A failed turn has one for each class. */
function statusesOf(of: ErrorCode, details: readonly Member[]): string {
  if (of !== "TURN_FAILED") return String(statusOf(of));
  const type = details.find(({ name }) => name === "class")?.type ?? "";
  const classes = [...type.matchAll(/"(\w+)"/g)].map(([, name]) => name as Failure);
  return `by \`class\`: ${classes.map((name) => `${code(name)} ${statusOf(of, name)}`).join(", ")}`;
}

/** Tables of the types that details consist of. */
export function errorTypesPart(): string {
  return ["ExitRecord", "OptionProblem"]
    .map((name) => `### ${name}\n\n${prose(declared.docOf(name))}\n\n${memberTable(declared.membersOf(name))}`)
    .join("\n")
    .trimEnd();
}

/** What each reason in `details` means: the doc comments of its types. */
export function errorReasonsPart(): string {
  return ["ConversationFate", "SteerRefusal", "ClusterFault", "JournalFault"]
    .map((name) => `### ${name}\n\n${prose(declared.docOf(name))}`)
    .join("\n\n");
}
