import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Session, type SessionEvent, Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

/** Whether this process may mount a disk of a few megabytes. */
const mayMount = process.platform === "linux" && process.getuid?.() === 0;

let api: MessagesApi;
let disk: string;

beforeEach(async () => {
  api = await messagesApi(() => ({ text: "answer ".repeat(1_000) }));
  disk = await mkdtemp(join(tmpdir(), "castellan-disk-"));
  if (mayMount) execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]);
});

afterEach(async () => {
  await api.stop();
  if (mayMount) execFileSync("umount", ["-l", disk]);
  await rmdir(disk);
});

const filler = (): string => join(disk, "filler");

async function fill(): Promise<void> {
  await expect(writeFile(filler(), Buffer.alloc(16 * 2 ** 20))).rejects.toThrow("ENOSPC");
}

/** Starts a session whose transcripts are on the small disk. */
async function started() {
  const name = unique();
  const config = join(disk, ".claude");
  await mkdir(config, { recursive: true });
  const env = { ...api.env, CLAUDE_CONFIG_DIR: config };
  const supervisor = await Supervisor.start([{ name }], { journal: "memory", defaults: { env, cwd: api.cwd } });
  const session = supervisor.session(name);
  return { supervisor, session, events: session.events() };
}

async function fault(events: AsyncIterable<SessionEvent>) {
  for await (const event of events) if (event.type === "fault") return event.fault;
  throw new Error("no fault");
}

function kill(session: Session): void {
  const { pid } = session.status();
  if (pid === undefined) throw new Error("no process");
  process.kill(pid, "SIGKILL");
}

const kinds = (session: Session): string[] => session.status().faults.map(({ kind }) => kind);

describe.runIf(mayMount)("a full disk", () => {
  it("is reported once at the end of a turn that was not written, and again after the process is gone", async () => {
    const { supervisor, session, events } = await started();
    await using _ = supervisor;
    await session.query("one");
    await fill();
    await session.query("two");
    expect(await fault(events)).toMatchObject({
      kind: "session_writes_lost",
      message: expect.stringContaining("the disk is full"),
    });
    expect(await session.health()).toMatchObject({ status: "degraded" });
    await session.query("three");
    await session.query("four");
    expect(kinds(session)).toEqual(["session_writes_lost"]);

    // Later entries are written without their parents. The next process does not know what was said in between.
    await rm(filler());
    await session.query("five");
    kill(session);
    await session.query("six");
    expect(kinds(session)).toEqual(["session_writes_lost", "conversation_behind"]);
    expect(api.lastRequest?.texts.map(({ text }) => text)).not.toContain("three");
  });

  it("is reported in the very first turn", async () => {
    const { supervisor, session, events } = await started();
    await using _ = supervisor;
    await fill();
    await session.query("one");
    expect(await fault(events)).toMatchObject({ kind: "session_writes_lost" });
  });

  it("is reported in the middle of a long turn", async () => {
    const { supervisor, session, events } = await started();
    await using _ = supervisor;
    await session.query("one");
    await fill();
    // Uses a tool every second until the fault is reported.
    let isReported = false;
    api.model = () =>
      isReported ? { text: "done" } : { toolUses: [{ name: "Glob", input: { pattern: "*" } }], delayMs: 1_000 };
    const turn = session.query("two");
    expect(await fault(events)).toMatchObject({ kind: "session_writes_lost" });
    expect(session.status().state).toBe("busy");
    isReported = true;
    await turn;
  });

  it("is not reported while there is room", async () => {
    const { supervisor, session } = await started();
    await using _ = supervisor;
    for (const prompt of ["one", "two"]) await session.query(prompt);
    await session.compact().catch(() => {});
    kill(session);
    await session.query("three");
    await session.hibernate();
    await session.query("four");
    expect(kinds(session)).toEqual([]);
  });
});
