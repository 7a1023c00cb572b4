import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pass } from "node:timers/promises";
import { describe, expect, it, onTestFinished } from "vitest";
import { canSlowDown, slowDisk } from "../journal/slow-disk.ts";

/** The application's measurements. */
interface Measured {
  readonly completed: number;
  readonly refused: { readonly [reason: string]: number };
  /** The duration of the longest turn. */
  readonly longestMs: number;
  readonly startMs: number;
  /** How long its event loop stood still. */
  readonly maxMs: number;
  readonly p99Ms: number;
  /** The longest of these times, without the wait for a processor. */
  readonly heldMs: number;
}

/** The longest time for which the journal may block the event loop. */
const MOST_MS = 50;

/** How long everything else blocks it on this machine. */
let besides = 0;

const HOST = new URL("./loaded-host.ts", import.meta.url).pathname;

class Application {
  readonly path: string;
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(env: NodeJS.ProcessEnv = {}, journal = "castellan.db") {
    const folder = mkdtempSync(join(tmpdir(), "castellan-delay-"));
    this.path = journal === "memory" ? journal : join(folder, journal);
    this.#child = spawn(process.execPath, [HOST, this.path], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    if (this.#child.stdout === null) throw new Error("It has no output.");
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    onTestFinished(async () => {
      if (this.#child.exitCode === null && this.#child.kill("SIGKILL")) await once(this.#child, "exit");
      rmSync(folder, { recursive: true, force: true });
    });
  }

  async started(): Promise<void> {
    expect((await this.#lines.next()).value).toBe("started");
  }

  async end(): Promise<Measured> {
    this.#child.stdin?.write("\n");
    const measured = JSON.parse((await this.#lines.next()).value) as Measured;
    console.log(JSON.stringify(measured));
    return measured;
  }
}

// A busy machine may delay one run. A blocking journal would delay every run.
describe("the event loop of an application with a SQLite journal", { timeout: 120_000, retry: 2 }, () => {
  it("is measured without a journal on disk", async () => {
    const application = new Application({}, "memory");
    await application.started();
    await pass(3_000);
    besides = (await application.end()).heldMs;
  });

  it("runs while another program locks the journal for eight seconds, and turns are refused after five", async () => {
    const application = new Application();
    await application.started();
    await pass(1_000);
    using other = new DatabaseSync(application.path, { timeout: 2_000 });
    other.exec("BEGIN IMMEDIATE");
    await pass(8_000);
    other.exec("ROLLBACK");
    await pass(2_000);
    const { completed, refused, longestMs, heldMs } = await application.end();
    expect(heldMs - besides).toBeLessThan(MOST_MS);
    // A turn that is being handed out, or has just ended, waits for as long as it takes.
    expect(["busy", undefined]).toContain(Object.keys(refused)[0]);
    expect(longestMs).toBeLessThan(10_000);
    expect(completed).toBeGreaterThan(100);
  });

  it("runs while the journal is locked for three seconds, and no turn is refused", async () => {
    const application = new Application();
    await application.started();
    await pass(500);
    using other = new DatabaseSync(application.path, { timeout: 2_000 });
    other.exec("BEGIN IMMEDIATE");
    await pass(3_000);
    other.exec("ROLLBACK");
    await pass(1_000);
    const { refused, longestMs, heldMs } = await application.end();
    expect(heldMs - besides).toBeLessThan(MOST_MS);
    expect(refused).toEqual({});
    expect(longestMs).toBeGreaterThan(2_500);
    expect(longestMs).toBeLessThan(4_500);
  });

  it.skipIf(!canSlowDown)("runs while each fsync takes 200 ms, from start to stop", async () => {
    const application = new Application(slowDisk(200));
    await application.started();
    await pass(8_000);
    const { completed, refused, heldMs } = await application.end();
    expect(heldMs - besides).toBeLessThan(MOST_MS);
    expect(refused).toEqual({});
    expect(completed).toBeGreaterThan(20);
  });
});
