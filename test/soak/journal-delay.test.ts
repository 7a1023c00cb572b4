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

/** What the application has measured. */
interface Measured {
  readonly completed: number;
  readonly refused: { readonly [reason: string]: number };
  /** How long the longest turn took. */
  readonly longestMs: number;
  readonly startMs: number;
  /** How long its event loop stood still. */
  readonly maxMs: number;
  readonly p99Ms: number;
  /** The longest of these times without what it waited for a processor in it. */
  readonly heldMs: number;
}

/** The event loop never stands still for longer than this for the journal. */
const MOST_MS = 50;

/** How long it stands still for all the rest, on this machine. */
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

// A machine that does something else now and then may hold a process up; a journal that does would do it each time.
describe("the event loop of an application", { timeout: 120_000, retry: 2 }, () => {
  it("stands still for this long without any journal on a disk", async () => {
    const application = new Application({}, "memory");
    await application.started();
    await pass(3_000);
    besides = (await application.end()).heldMs;
  });

  it("goes on while another program has the journal locked for eight seconds, and turns are refused after five", async () => {
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
    // A turn that is just being handed out, or has just ended, waits, however long that takes.
    expect(["busy", undefined]).toContain(Object.keys(refused)[0]);
    expect(longestMs).toBeLessThan(10_000);
    expect(completed).toBeGreaterThan(100);
  });

  it("goes on while it is locked for three seconds, and no turn is refused", async () => {
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

  it.skipIf(!canSlowDown)(
    "goes on while the disk takes 200 ms each time it has to write, from the start to the end",
    async () => {
      const application = new Application(slowDisk(200));
      await application.started();
      await pass(8_000);
      const { completed, refused, heldMs } = await application.end();
      expect(heldMs - besides).toBeLessThan(MOST_MS);
      expect(refused).toEqual({});
      expect(completed).toBeGreaterThan(20);
    },
  );
});
