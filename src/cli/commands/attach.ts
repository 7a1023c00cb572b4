import type { Command } from "commander";
import type { SessionClient, SessionEvent } from "../../client/index.ts";
import { clientFor, type ServerOptions, sessionCommand } from "../connection/server-command.ts";
import { CliError } from "../terminal/cli-error.ts";
import { styled } from "../terminal/colors.ts";
import { eventLines } from "../terminal/event-lines.ts";
import { LivePrompt } from "../terminal/live-prompt.ts";
import { type NameArgument, nameArgument } from "../terminal/name-argument.ts";
import { PendingApprovals, type TypedAnswer } from "../terminal/pending-approvals.ts";
import { sessionArgument } from "../terminal/session-argument.ts";
import { oneLine } from "../terminal/text.ts";
import { TextBlocks } from "../terminal/text-blocks.ts";

/** How many of the last events are shown at first. */
const PAST = 20;

const HELP = `A line is a prompt. When a tool waits for permission, y approves it, n denies it.
/interrupt  stop the running turn, as Ctrl-C
/quit       leave, as Ctrl-D; the session goes on
//…         a prompt that begins with a slash`;

/** The command `attach`. */
export function attachCommand(): Command {
  return sessionCommand("attach", "watch a session, type prompts, and answer its permission requests", [
    "castellan attach support/42",
  ])
    .addArgument(sessionArgument())
    .addHelpText("after", `\n${HELP}`)
    .action(attach);
}

async function attach(name: NameArgument, options: ServerOptions): Promise<void> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) {
    throw new CliError("NOT_A_TERMINAL", "`attach` needs a terminal. Use `query`, or `logs --follow`.");
  }
  const session = (await clientFor(options)).session(name);
  const info = await session.get();
  const leaving = new AbortController();
  using prompt = new LivePrompt(process.stdin, process.stdout, "> ");
  prompt.line(styled("dim", `${oneLine(nameArgument(name))} is ${info.state}. /help lists what you can type.`));
  const attached = new Attached(session, prompt, leaving);
  prompt.on({
    line: (text) => attached.typed(text),
    interrupt: () => attached.interrupt(),
    end: () => leaving.abort(),
  });
  await attached.watch();
}

/** A session on a terminal. */
class Attached {
  readonly #session: SessionClient;
  readonly #prompt: LivePrompt;
  readonly #leaving: AbortController;
  readonly #blocks = new TextBlocks();
  readonly #approvals = new PendingApprovals();
  /** The prompts that were typed here, and stand on the terminal already, until their events come. */
  readonly #typed: string[] = [];
  /** The turn that runs, as far as the events tell. */
  #turn: string | undefined;

  constructor(session: SessionClient, prompt: LivePrompt, leaving: AbortController) {
    this.#session = session;
    this.#prompt = prompt;
    this.#leaving = leaving;
  }

  /** Shows what has happened and what happens, until the user leaves or the session ends. */
  async watch(): Promise<void> {
    const { signal } = this.#leaving;
    const { events } = await this.#session.pastEvents({ limit: PAST });
    for (const event of events.toReversed()) this.#show(event);
    for (const approval of await this.#session.approvals()) this.#approvals.add(approval);
    this.#ask();
    try {
      const after = events[0]?.number ?? 0;
      for await (const event of this.#session.events({ after, deltas: true }, { signal })) {
        this.#show(event);
        await this.#follow(event);
      }
      this.#prompt.line(styled("dim", "The session has ended."));
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  typed(line: string): void {
    const answer = this.#approvals.read(line);
    if (answer === "more") this.#ask();
    else if (answer !== undefined) this.#tell(this.#answer(answer));
    else if (line.trim() === "") return;
    else if (line.startsWith("/") && !line.startsWith("//")) this.#command(line.trim());
    else this.#send(line.replace(/^\/\//, "/"));
  }

  interrupt(): void {
    if (this.#turn === undefined) this.#prompt.line(styled("dim", "No turn runs. Ctrl-D leaves; the session goes on."));
    else this.#tell(this.#session.interrupt());
  }

  #send(prompt: string): void {
    this.#typed.push(prompt);
    const sending = this.#session.enqueue(prompt).catch((error: unknown) => {
      this.#isTypedHere(prompt);
      throw error;
    });
    this.#tell(sending);
  }

  /** Whether a prompt was typed here. Forgets it. */
  #isTypedHere(prompt: unknown): boolean {
    if (typeof prompt !== "string") return false;
    const at = this.#typed.indexOf(prompt);
    if (at !== -1) this.#typed.splice(at, 1);
    return at !== -1;
  }

  #command(line: string): void {
    if (line === "/quit") this.#leaving.abort();
    else if (line === "/interrupt") this.interrupt();
    else if (line === "/help") this.#prompt.line(styled("dim", HELP));
    else this.#prompt.line(styled("red", `There is no ${oneLine(line)}. /help lists what you can type.`));
  }

  async #answer(answer: TypedAnswer): Promise<unknown> {
    const { id, suggestions } = answer.approval;
    if (answer.kind === "deny") return await this.#session.deny(id, answer.message);
    if (answer.kind === "answer") return await this.#session.approve(id, { answers: answer.answers });
    return await this.#session.approve(id, answer.always ? { rules: suggestions } : {});
  }

  /** Shows the error of a request; its success shows in the events. */
  #tell(request: Promise<unknown>): void {
    request.catch((error: unknown) => {
      this.#prompt.line(styled("red", error instanceof Error ? oneLine(error.message) : String(error)));
    });
  }

  #show(event: SessionEvent): void {
    if (event.type === "turn_accepted" && this.#isTypedHere(event.prompt)) return;
    // A subagent's texts would mix with the answer; its tools show.
    const text = event.parent === undefined ? this.#blocks.take(event) : undefined;
    const lines = event.type === "text" ? undefined : eventLines(event);
    if (text !== undefined) this.#prompt.write(text);
    else if (lines !== undefined) this.#prompt.line(lines);
  }

  async #follow(event: SessionEvent): Promise<void> {
    if (event.type === "turn_started") this.#turn = event.turnId;
    else if (event.type === "turn_ended" && event.turnId === this.#turn) this.#turn = undefined;
    else if (event.type === "approval_settled") {
      this.#approvals.remove(event.id);
      this.#ask();
    } else if (event.type === "approval_requested") {
      for (const approval of await this.#session.approvals()) this.#approvals.add(approval);
      this.#ask();
    }
  }

  #ask(): void {
    const question = this.#approvals.question();
    if (question !== undefined) this.#prompt.line(question);
  }
}
