import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it, onTestFinished } from "vitest";
import { canMount, PrivateDisk } from "../journal/sqlite-application.ts";

const HOST = new URL("./full-host.ts", import.meta.url).pathname;

class Application {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(path: string, disk: PrivateDisk) {
    const [program = "", ...args] = [...disk.within, process.execPath, HOST, path];
    this.#child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#child.stdout === null) throw new Error("It has no output.");
    this.#lines = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
    onTestFinished(() => this.kill());
  }

  async next(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    return done === true ? "gone" : JSON.parse(value);
  }

  async order(order: string): Promise<unknown> {
    this.#child.stdin?.write(`${order}\n`);
    return await this.next();
  }

  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}

async function disk(
  options: string,
): Promise<{ disk: PrivateDisk; folder: string; full: () => void; free: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), "castellan-full-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const own = await PrivateDisk.at(folder, options);
  onTestFinished(() => own[Symbol.asyncDispose]());
  const full = (): void => own.run("sh", "-c", `cat /dev/zero > ${folder}/ballast || true`);
  return { disk: own, folder, full, free: () => own.run("rm", `${folder}/ballast`) };
}

const said = { text: "You said: hello", turnId: expect.any(String) };
const turnIdOf = (reply: unknown): string => (reply as { readonly turnId: string }).turnId;

const degraded = { status: "degraded", session: "idle", journal: true };
const healthy = { status: "healthy", session: "idle", journal: false };

it.skipIf(!canMount)("an application on a full disk: starts, reads, and writes again once there is space", async () => {
  const { disk: own, folder, full, free } = await disk("size=2m");
  const path = join(folder, "castellan.db");
  const first = new Application(path, own);
  expect(await first.next()).toBe("started");
  const one = turnIdOf(await first.order("ask one"));
  await first.kill();

  // The shared-memory file has to be created again.
  own.run("rm", `${path}-shm`);
  full();
  const second = new Application(path, own);
  expect(await second.next()).toBe("started");
  expect(await second.order("health")).toEqual(degraded);
  expect(await second.order(`read ${one}`)).toBe("You said: hello");
  expect(await second.order("cost")).toBe(1);
  expect(await second.order("ask two")).toBe("no_space");
  expect(await second.order("health")).toEqual(degraded);

  free();
  expect(await second.order("await healthy")).toBe("healthy");
  expect(await second.order("health")).toEqual(healthy);
  const two = turnIdOf(await second.order("ask two"));
  await second.kill();

  const third = new Application(path, own);
  expect(await third.next()).toBe("started");
  expect([await third.order(`read ${one}`), await third.order(`read ${two}`)]).toEqual([
    "You said: hello",
    "You said: hello",
  ]);
});

it.skipIf(!canMount)(
  "an application on a full disk: starts for the first time, and writes once there is space",
  async () => {
    const { disk: own, folder, full, free } = await disk("size=1m");
    full();
    const application = new Application(join(folder, "new", "castellan.db"), own);
    expect(await application.next()).toBe("started");
    expect(await application.order("health")).toEqual(degraded);
    expect(await application.order("ask one")).toBe("no_space");
    free();
    expect(await application.order("await healthy")).toBe("healthy");
    expect(await application.order("ask one")).toEqual(said);
  },
);

it.skipIf(!canMount)("an application whose disk fills up: refuses turns until there is space", async () => {
  const { disk: own, folder, full, free } = await disk("size=2m");
  const application = new Application(join(folder, "castellan.db"), own);
  expect(await application.next()).toBe("started");
  const one = turnIdOf(await application.order("ask one"));
  full();
  let asked = 0;
  while ((await application.order(`ask more-${asked}`)) !== "no_space") asked += 1;
  expect(await application.order("health")).toMatchObject({ status: "degraded", journal: true });
  expect(await application.order(`read ${one}`)).toBe("You said: hello");
  free();
  expect(await application.order("await healthy")).toBe("healthy");
  expect(await application.order("ask two")).toEqual(said);
});
