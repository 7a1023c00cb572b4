import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

/** The application's measurements. Memory in megabytes. */
interface Measured {
  readonly state: string;
  readonly code?: string;
  readonly message?: string;
  readonly next: string;
  readonly mostHeap: number;
  readonly leftHeap: number;
  /**
   * The longest blockage of the event loop: `heldMs` without the time of other processes, `cpuMs` the CPU time in it.
   */
  readonly heldMs: number;
  readonly cpuMs: number;
  readonly readers: Readonly<Record<string, string>>;
  readonly lines: number;
  readonly unhandled: readonly string[];
}

const HOST = new URL("./flooded-host.ts", import.meta.url).pathname;
const SLOW = ["slow messages", "slow text", "slow page", "slow UI page"];

/**
 * The most heap that a turn's messages for readers may take, including objects and garbage, in megabytes. V8 lets the heap grow to
 * four times what is in use: 546 to 595 in four runs.
 */
const MOST_MEGABYTES = 650;

async function flood(messages: string, readers: string): Promise<Measured> {
  const { stdout } = await promisify(execFile)(process.execPath, [HOST, `Flood ${messages}.`, readers]);
  console.log(`${messages} ${readers}: ${stdout.trim()}`);
  return JSON.parse(stdout) as Measured;
}

it("a turn of a million messages: ends in order with slow, stalled and following readers", {
  timeout: 300_000,
}, async () => {
  const { readers, ...measured } = await flood("1000000 small", "slow gone follow");
  expect(measured).toMatchObject({ state: "completed", next: "You said: say sound", unhandled: [] });
  expect(measured.lines).toBeGreaterThan(1_000_000);
  expect(measured.mostHeap).toBeLessThan(MOST_MEGABYTES);
  expect(Object.keys(readers).sort()).toEqual([...SLOW].sort());
  expect(readers["slow messages"]).toBe("EVENTS_LOST");
});

it.each([
  ["messages of 64 kB", "10000 large", "completed"],
  ["unknown types, depth and size among others", "100000 mixed", "interrupted"],
  ["bytes in the middle that are no UTF-8", "100000 garbled", "interrupted"],
])("a turn with %s: needs no more memory, and ends in order", { timeout: 120_000 }, async (_, messages, state) => {
  const measured = await flood(messages, "fast slow gone follow");
  expect(measured).toMatchObject({ state, next: "You said: say sound", unhandled: [] });
  if (state === "interrupted")
    expect(measured).toMatchObject({
      code: "TURN_INTERRUPTED",
      message: expect.stringContaining("Claude Code's output is invalid"),
    });
  expect(measured.mostHeap).toBeLessThan(MOST_MEGABYTES);
});
