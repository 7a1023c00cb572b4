import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs, styleText } from "node:util";
import Table from "cli-table3";
import { query, Supervisor, stream } from "../index.ts";
import { isAlive } from "../live-process.ts";
import { formatName } from "../names.ts";
import type { SessionDefaults } from "../session/options/options.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import { mockApi } from "../testing/index.ts";
import { serverDemo } from "./demo-server.ts";

/*
 * `npm run demo`: shows in a few seconds what Castellan does, on the real Claude Code.
 *
 * With `--real` and ANTHROPIC_API_KEY set, the demo uses Anthropic's API instead of a mock.
 */

const POEM =
  "A keep of names on a quiet hill,\nwhere every voice is guarded still;\none falls, and ere the bell has tolled\nit stands, and knows what it was told.";

const JUST_SAID = "What did I just say?";

try {
  const { values } = parseArgs({ options: { real: { type: "boolean", default: false } } });
  if (values.real && !process.env["ANTHROPIC_API_KEY"]) throw new Error("--real needs ANTHROPIC_API_KEY to be set");
  await using model = values.real ? await realModel() : await mockModel();
  await demo(model);
  say("\ndemo: ok");
} catch (error) {
  process.exitCode = 1;
  say(`\ndemo: failed: ${error instanceof Error ? error.message : String(error)}`);
}

async function demo(model: DemoModel): Promise<void> {
  title("Start: three named sessions, each a Claude Code process of its own");
  say(`model: ${model.description}`);
  let since = performance.now();
  const supervisor = await start(model);
  const pids = new Set<number>();
  try {
    const [failed] = supervisor.notStarted;
    if (failed !== undefined) throw failed.error;
    say(`three processes are ready after ${elapsed(since)}`);
    note(supervisor, pids);

    title('Query by name: query("reviewer", …)');
    const review = await query("reviewer", "Review: let total = 0; export const add = (n) => (total += n);");
    say(`reviewer: ${review.text}`);
    say(dim(`${Math.round(review.durationMs)} ms, $${review.costUsd.toFixed(6)}`));

    title('Stream, token by token: stream("assistant", …).text()');
    for await (const text of stream("assistant", "Write a four-line poem about a castellan.").text()) {
      process.stdout.write(text);
    }
    say("");

    title(`The conversation: "${JUST_SAID}"`);
    await ask(JUST_SAID, "poem");

    title("Crash: SIGKILL for the process of the assistant");
    const { pid } = supervisor.session("assistant").status();
    if (pid === undefined) throw new Error("the assistant has no process");
    since = performance.now();
    process.kill(pid, "SIGKILL");
    say(`kill -9 ${pid}`);
    await ask("And what did I ask you for first?", "poem");
    const after = supervisor.session("assistant").status();
    say(dim(`process ${pid} is dead, process ${after.pid} took over; answered ${elapsed(since)} after the kill`));
    if (after.pid === pid || after.restarts !== 1) throw new Error("the process was not restarted");
    note(supervisor, pids);

    title("Server: the SDK of Anthropic as a client, and a SIGKILL in the middle of the answer");
    await serverDemo(supervisor, "assistant", "Recite it slowly.", {
      line: say,
      part: (text) => process.stdout.write(text),
    });
    note(supervisor, pids);

    title("The tree");
    say(sessionTable(supervisor.listSessions()));
  } finally {
    title("Stop");
    since = performance.now();
    await supervisor.stop();
  }
  const left = await survivors(pids);
  if (left.length > 0) throw new Error(`processes are still running: ${left.join(", ")}`);
  say(`stopped after ${elapsed(since)}; none of the ${pids.size} processes is left`);

  title("Start again: the names have kept their conversations, the journal what they cost");
  await using again = await start(model);
  await ask("Once more: what did I ask you for first?", "poem");
  const [spent] = await again.usage();
  say(dim(`$${spent?.costUsd.toFixed(6)} in both runs, ${spent?.usage.outputTokens} tokens written`));
}

async function start(model: DemoModel): Promise<Supervisor> {
  return await Supervisor.start(
    [
      {
        name: "assistant",
        systemPrompt: "You are a helpful assistant. Answer in one or two short sentences.",
        // Runs a turn again even if a part of its answer has been read.
        onInterruptedTurn: "retry",
      },
      { name: "reviewer", systemPrompt: "You review code. Answer in one short sentence." },
      { name: ["support", 42], systemPrompt: "You help user 42." },
    ],
    { name: "demo", journal: { sqlite: model.journal }, defaults: model.defaults },
  );
}

/** Asks the assistant a question that it can answer only if it has kept the conversation. */
async function ask(question: string, expected: string): Promise<void> {
  const { text } = await query("assistant", question);
  say(`you: ${question}\nassistant: ${text}`);
  if (!text.includes(expected)) throw new Error(`the assistant has forgotten the conversation; it answered: ${text}`);
}

function note(supervisor: Supervisor, pids: Set<number>): void {
  for (const { pid } of supervisor.listSessions()) if (pid !== undefined) pids.add(pid);
}

/** Returns the `pids` that still run. The kernel may take a moment to reap the killed one. */
async function survivors(pids: Iterable<number>): Promise<number[]> {
  const alive = (): number[] => [...pids].filter(isAlive);
  for (let tries = 0; tries < 20 && alive().length > 0; tries++) await delay(10);
  return alive();
}

function title(text: string): void {
  say(`\n${styleText("bold", text)}`);
}

function dim(text: string): string {
  return styleText("dim", text);
}

function elapsed(since: number): string {
  return `${Math.round(performance.now() - since)} ms`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** Formats sessions as a table for a terminal. */
function sessionTable(sessions: readonly SessionStatus[]): string {
  const table = new Table({
    head: ["session", "state", "pid", "restarts", "last exit", "conversation"],
    style: { head: [], border: [] },
  });
  for (const { name, state, pid, restarts, lastExit, conversationId } of sessions) {
    table.push([formatName(name), state, pid ?? "-", restarts, lastExit?.class ?? "-", conversationId.slice(0, 8)]);
  }
  return table.toString();
}

/** The model that the demo talks to, and the defaults its sessions need to reach it. */
interface DemoModel extends AsyncDisposable {
  readonly description: string;
  /** The path of the journal, removed with the model. */
  readonly journal: string;
  readonly defaults: SessionDefaults;
}

/** Starts a mock of the Messages API on this machine. Only the replies are made up; Claude Code is real. */
async function mockModel(): Promise<DemoModel> {
  const api = await mockApi();
  api.reply("Review", "Looks fine, but `total` is never reset between calls.");
  api.reply("poem", {
    text: POEM,
    tokensPerSecond: 60,
  });
  api.reply("slowly", { text: POEM, tokensPerSecond: 25 });
  // The mock derives this reply from the conversation that Claude Code sends, so it proves that the conversation was kept.
  api.reply("ask you for first", ({ messages }) => {
    const first = messages.find(({ role }) => role === "user");
    return `You first asked me: ${first?.text}`;
  });
  return {
    description: `a mock of the Messages API at ${api.url}; no key needed`,
    journal: join(api.cwd, "castellan.db"),
    defaults: { env: api.env, cwd: api.cwd },
    [Symbol.asyncDispose]: () => api.stop(),
  };
}

/** Uses Anthropic's API, in a working directory of the demo's own. */
async function realModel(): Promise<DemoModel> {
  const cwd = await mkdtemp(join(tmpdir(), "castellan-demo-"));
  return {
    description: "Anthropic's API, with your ANTHROPIC_API_KEY",
    journal: join(cwd, "castellan.db"),
    defaults: { cwd, apiKey: { env: "ANTHROPIC_API_KEY" }, tools: [] },
    [Symbol.asyncDispose]: () => rm(cwd, { recursive: true, force: true }),
  };
}
