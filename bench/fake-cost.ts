import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { FAKE_PROCESS } from "./backend.ts";
import type { Line, Row } from "./line.ts";
import { linesOf } from "./plain-process.ts";
import { timed } from "./rounds.ts";
import { spreadOf } from "./spread.ts";

/** The number of measured turns, after as many warm-up turns. */
const TURNS = 2_000;
const MESSAGES = 100_000;

/** Measures the fake process alone, over its pipes, without the SDK and without Castellan. */
export const fakeCost: Line = {
  name: "fake",
  rounds: 7,
  measure: async ({ rounds }) => {
    const figures: Figures[] = [];
    for (let round = 0; round < rounds; round++) figures.push(await measure());
    const row = (what: string, unit: string, figure: (of: Figures) => number): Row => {
      return { what: `fake alone: ${what}`, on: "fake process", unit, bare: spreadOf(figures.map(figure)) };
    };
    return [
      row("turns", "/s", ({ turns }) => turns),
      row("messages", "/s", ({ messages }) => messages),
      row("start to handshake", "ms", ({ start }) => start),
      row("memory (PSS)", "MB", ({ megabytes }) => megabytes),
    ];
  },
};

interface Figures {
  readonly turns: number;
  readonly messages: number;
  /** Milliseconds. */
  readonly start: number;
  readonly megabytes: number;
}

async function measure(): Promise<Figures> {
  const since = performance.now();
  const child = spawn(process.execPath, [FAKE_PROCESS], { stdio: ["pipe", "pipe", "inherit"] });
  const answers = new Answers(child, child.stdout);
  await answers.to(
    { type: "control_request", request_id: "1", request: { subtype: "initialize" } },
    "control_response",
  );
  const start = performance.now() - since;
  const megabytes = await proportionalMegabytes(child.pid);
  const ask = (content: string): Promise<void> => {
    const prompt = { type: "user", message: { role: "user", content }, parent_tool_use_id: null, uuid: randomUUID() };
    return answers.to(prompt, "result");
  };
  const askAll = async (): Promise<void> => {
    for (let turn = 0; turn < TURNS; turn++) await ask(`Do number ${turn}, please.`);
  };
  await askAll();
  const turns = await timed(askAll);
  const messages = await timed(() => ask(`Stream ${MESSAGES} pieces.`));
  child.stdin.end();
  await once(child, "exit");
  return { turns: (TURNS * 1_000) / turns, messages: (MESSAGES * 1_000) / messages, start, megabytes };
}

/** The output of a process, searched only for the awaited message. */
class Answers {
  readonly #child: ChildProcess;
  readonly #lines: AsyncGenerator<string, void, undefined>;

  constructor(child: ChildProcess, output: Readable) {
    this.#child = child;
    this.#lines = linesOf(output);
  }

  async to(message: object, type: string): Promise<void> {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error("the fake process has ended");
      if (value.startsWith(`{"type":"${type}"`) || value.includes(`"type":"${type}","subtype"`)) return;
    }
  }
}

/** NaN on systems that do not report it. */
async function proportionalMegabytes(pid: number | undefined): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "latin1").catch(() => "");
  return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? Number.NaN) / 1_024;
}
