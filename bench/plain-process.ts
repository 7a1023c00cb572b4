import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** The delay in a prompt such as `Do it in 17 ms.`, in milliseconds; 0 for other prompts. */
function pauseAsked(line: string): number {
  return Number(/ in (\d+) ms/.exec(line)?.[1] ?? 0);
}

/** Runs a Claude on the given streams until the end of its input, with backpressure. */
export async function run(
  claude: { take(line: string): Iterable<string | Uint8Array> },
  input: AsyncIterable<string>,
  output: Writable,
): Promise<void> {
  for await (const line of input) {
    const ms = pauseAsked(line);
    if (ms > 0) await delay(ms);
    for (const chunk of claude.take(line)) if (!output.write(chunk)) await once(output, "drain");
  }
}

/** The lines of a stream, without line feeds. Scans each part of a long unfinished line only once. */
export async function* linesOf(stream: Readable): AsyncGenerator<string, void, undefined> {
  let unfinished: string[] = [];
  for await (const chunk of stream.setEncoding("utf8")) {
    const lines = String(chunk).split("\n");
    unfinished.push(lines.shift() ?? "");
    if (lines.length === 0) continue;
    yield unfinished.join("");
    unfinished = [lines.pop() ?? ""];
    yield* lines;
  }
}
