import { type Command, InvalidArgumentError } from "commander";
import type { JsonObject } from "../../client/index.ts";
import { findApproval } from "../connection/find-approval.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { addLabel } from "../terminal/label-argument.ts";
import { nameArgument } from "../terminal/name-argument.ts";
import { outcomeLine } from "../terminal/outcome-line.ts";
import { print } from "../terminal/output.ts";

interface ApproveOptions extends ServerOptions {
  readonly always?: boolean;
  readonly input?: JsonObject;
  readonly answer?: Record<string, string>;
}

/** The command `approve`. */
export function approveCommand(): Command {
  return sessionCommand("approve", "let a tool run that waits for permission, or answer Claude's questions", [
    "castellan approve 5f2c",
    "castellan approve 5f2c --always          # and do not ask again for the like",
    'castellan approve 5f2c --input \'{"command":"ls"}\'',
    'castellan approve 5f2c --answer "Which color?=Green"',
  ])
    .argument("<id>", "the id of the approval, or its beginning; see `castellan approvals`")
    .option("--always", "also accept the rules that Claude suggests for next time")
    .option("--input <json>", "the input of the tool, in place of the requested one", inputOf)
    .option("--answer <question=answer...>", "the answers to Claude's questions", addLabel)
    .action(approve);
}

async function approve(id: string, options: ApproveOptions): Promise<void> {
  const { always, input, answer: answers } = options;
  const client = await clientFor(options);
  const approval = await findApproval(client, id);
  const changes = { input, answers, ...(always === true && { rules: approval.suggestions }) };
  const settled = await client.session(approval.session).approve(approval.id, changes);
  print(options.json, settled, () => outcomeLine(settled, nameArgument(approval.session), approval.tool));
}

function inputOf(text: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // Falls through to the same error.
  }
  throw new InvalidArgumentError("Expected an object in JSON.");
}
