import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { CastellanApiError, type SessionClient, type Turn } from "../../client/index.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { styled } from "../terminal/colors.ts";
import { eventLines } from "../terminal/event-lines.ts";
import type { NameArgument } from "../terminal/name-argument.ts";
import { sessionArgument } from "../terminal/session-argument.ts";
import { TextBlocks } from "../terminal/text-blocks.ts";

interface QueryOptions extends ServerOptions {
  readonly key?: string;
  readonly timeout?: string;
  readonly detach?: boolean;
}

/** The exit code of a command that Ctrl-C ended. */
const INTERRUPTED = 130;

/** The command `query`. */
export function queryCommand(): Command {
  return sessionCommand("query", "give a session a prompt, and print its answer", [
    'castellan query reviewer "Review the last commit."',
    "git diff | castellan query reviewer",
    'castellan query support/42 "Hello" --json | jq .costUsd',
    'castellan query nightly "Run the report." --detach --key report-2026-11-30',
  ])
    .addArgument(sessionArgument())
    .argument("[prompt...]", "the prompt; default: read it from the input")
    .option("--key <key>", "the idempotency key: a second call with it gets the same turn")
    .option("--timeout <duration>", "how long the turn may take, such as 10m")
    .option("-d, --detach", "print the id of the turn, and do not wait")
    .action(query);
}

async function query(name: NameArgument, words: readonly string[], options: QueryOptions): Promise<void> {
  const { json, key: idempotencyKey, timeout: turnTimeout } = options;
  const session = (await clientFor(options)).session(name);
  const prompt = words.length > 0 ? words.join(" ") : await text(process.stdin);
  const isLive = json !== true && process.stdout.isTTY;
  const from = isLive ? await lastNumber(session) : 0;
  const accepted = session.enqueue(prompt, { idempotencyKey, turnTimeout });
  if (options.detach) {
    const id = await accepted;
    console.log(json ? JSON.stringify({ id }) : id);
    return;
  }
  using _ = interruptible(session, accepted);
  const id = await accepted;
  if (isLive) await showLive(session, id, from);
  const { reply, ...turn } = await session.wait(id);
  if (reply === undefined) throw failureOf(turn);
  if (json) console.log(JSON.stringify(reply));
  else if (!isLive) console.log(reply.text);
}

/** Shows the answer as it comes, and tools besides. */
async function showLive(session: SessionClient, turn: string, after: number): Promise<void> {
  const blocks = new TextBlocks();
  for await (const event of session.events({ after, turn, deltas: true })) {
    if (event.parent !== undefined) continue;
    const shown = blocks.take(event);
    if (shown !== undefined) process.stdout.write(shown);
    else if (event.type === "tool_use" || event.type === "turn_retried") console.error(eventLines(event));
    else if (event.type === "approval_requested") {
      console.error(`${eventLines(event)}\n${styled("yellow", `  castellan approve ${event.id}`, process.stderr)}`);
    }
  }
}

/** Returns the number of the last event before the prompt, after which the answer begins; 0 for a session without events. */
async function lastNumber(session: SessionClient): Promise<number> {
  try {
    return (await session.pastEvents({ limit: 1 })).events[0]?.number ?? 0;
  } catch (error) {
    // The prompt creates the session.
    if (error instanceof CastellanApiError && error.code === "SESSION_NOT_FOUND") return 0;
    throw error;
  }
}

/**
 * Ctrl-C interrupts the turn; a second time it ends the command, and the turn goes on. The turn may run before the
 * server's answer has arrived, so that Ctrl-C may precede the id.
 */
function interruptible(session: SessionClient, accepted: Promise<string>): Disposable {
  let times = 0;
  const onInterrupt = (): void => {
    times++;
    process.exitCode = INTERRUPTED;
    if (times > 1) process.exit(INTERRUPTED);
    console.error("Interrupts the turn. Again to leave it running.");
    const interrupt = (id: string): Promise<unknown> =>
      session.interruptTurn(id).catch((error: unknown) => console.error(String(error)));
    // The command reports a refused prompt by itself.
    void accepted.then(interrupt, () => {});
  };
  process.on("SIGINT", onInterrupt);
  return { [Symbol.dispose]: () => void process.off("SIGINT", onInterrupt) };
}

function failureOf({ id, state, error }: Omit<Turn, "reply">): CastellanApiError {
  const { code = "TURN_FAILED", message = `Turn ${id} is ${state}.` } = error ?? {};
  return new CastellanApiError(code, message, { status: 0 });
}
