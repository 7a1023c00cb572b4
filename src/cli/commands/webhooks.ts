import { Argument, type Command } from "commander";
import type { Webhook } from "../../client/index.ts";
import { clientFor, type ServerOptions, serverCommand } from "../connection/server-command.ts";
import { styledState } from "../terminal/colors.ts";
import { outputWidth, print, tell } from "../terminal/output.ts";
import { type Column, table } from "../terminal/table.ts";

const COLUMNS: readonly Column[] = [
  { head: "WEBHOOK", least: 12 },
  { head: "STATE" },
  { head: "PENDING", align: "right" },
  { head: "DELIVERED", align: "right" },
  { head: "DROPPED", align: "right" },
  { head: "LAST FAILURE", least: 16 },
  { head: "ORIGIN", least: 16 },
];

/** The command `webhooks`. */
export function webhooksCommand(): Command {
  return serverCommand("webhooks", "list the webhooks of the server, test one, or retry what it did not get", [
    "castellan webhooks",
    "castellan webhooks test billing     # sends an event of the type webhook.test",
    "castellan webhooks retry billing    # enables it, and tries undelivered events now",
  ])
    .addArgument(new Argument("[action]", "what to do; default: list them").choices(["test", "retry"]))
    .argument("[webhook]", "the id of the webhook")
    .action(webhooks);
}

async function webhooks(
  action: string | undefined,
  id: string | undefined,
  options: ServerOptions,
  command: Command,
): Promise<void> {
  const client = await clientFor(options);
  if (action === undefined) {
    const list = await client.webhooks();
    print(options.json, list, () => (list.length === 0 ? "" : shown(list)));
    if (list.length === 0) tell(options.json, "The server has no webhooks.");
    return;
  }
  if (id === undefined) return command.error("error: missing the id of the webhook");
  if (action === "retry") {
    const list = await client.retryWebhook(id);
    print(options.json, list, () => shown(list));
    return;
  }
  const result = await client.testWebhook(id);
  const { delivered, status, problem, durationMs } = result;
  const answer = status === undefined ? (problem ?? "no answer") : `status ${status}`;
  print(options.json, result, () => `${delivered ? "delivered" : "not delivered"}: ${answer}, ${durationMs} ms`);
  if (!delivered) process.exitCode = 1;
}

function shown(list: readonly Webhook[]): string {
  const rows = list.map(({ id, state, pendingSessions, morePending, delivered, dropped, lastFailure, origin }) => [
    id,
    state,
    `${pendingSessions}${morePending ? "+" : ""}`,
    String(delivered),
    String(dropped),
    lastFailure === undefined ? "-" : `${new Date(lastFailure.at).toISOString()} ${lastFailure.problem}`,
    origin,
  ]);
  return table(COLUMNS, rows, outputWidth(), (cell, at) => (at === 1 ? styledState(cell) : cell));
}
