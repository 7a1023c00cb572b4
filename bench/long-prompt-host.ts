import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Supervisor } from "../src/index.ts";
import { FAKE_PROCESS } from "./backend.ts";

/* Sends one long prompt, and reports the growth of this process's memory to its parent. */

/** The peak growth of resident memory, in megabytes. */
export interface LongPrompt {
  readonly rise: number;
  readonly refused: boolean;
}

const SAMPLE_MS = 2;
const MB = 1_048_576;

const [directory = ".", character = "a", length = "0"] = process.argv.slice(2);
await using supervisor = await Supervisor.start([{ name: "reader" }], {
  journal: { sqlite: join(directory, `${randomUUID()}.db`) },
  defaults: { pathToClaudeCodeExecutable: FAKE_PROCESS },
});
await supervisor.query("reader", "hello");
const prompt = character.repeat(Number(length));
const before = process.memoryUsage.rss();
let most = before;
const sample = (): void => {
  most = Math.max(most, process.memoryUsage.rss());
};
const sampling = setInterval(sample, SAMPLE_MS);
const refused = await supervisor.query("reader", prompt).then(
  () => false,
  () => true,
);
sample();
clearInterval(sampling);
process.send?.({ rise: (most - before) / MB, refused } satisfies LongPrompt);
