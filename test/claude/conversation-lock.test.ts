import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConversationInUse, LockGuarded, lockConversation } from "../../src/claude/conversation-lock.ts";
import { formatMarker, thisOwner } from "../../src/claude/marker.ts";
import { contest, verdict } from "./lock-contest.ts";

let home: string;
const id = randomUUID();
const others: ChildProcess[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "castellan-lock-"));
});

afterEach(async () => {
  for (const other of others.splice(0)) other.kill("SIGKILL");
  await rm(home, { recursive: true });
});

const marker = (): string => formatMarker(thisOwner(), randomUUID());
const files = async (): Promise<string[]> => (await readdir(join(home, "castellan-locks"))).sort();
const FREE = ["guard"];

interface Other {
  readonly pid: number;
  /** Returns `"held"`, or the error. */
  lock(conversation: string): Promise<string>;
  /** Kills the process. */
  end(): Promise<void>;
}

/** Starts another application. */
function startOther(): Other {
  const holder = fileURLToPath(new URL("./lock-holder.ts", import.meta.url));
  const child = spawn(process.execPath, [holder, home], { stdio: ["pipe", "pipe", "inherit"] });
  others.push(child);
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    pid: child.pid ?? 0,
    lock: async (conversation) => {
      child.stdin.write(`${conversation}\n`);
      return String((await answers.next()).value);
    },
    end: async () => {
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

describe("lockConversation", () => {
  it("rejects a conversation that another process holds, names it, and locks it after that was killed", async () => {
    const other = startOther();
    expect(await other.lock(id)).toBe("held");
    const refused = await lockConversation(id, marker(), home).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConversationInUse);
    expect(String(refused)).toContain(`process ${other.pid}`);
    await other.end();
    const lock = await lockConversation(id, marker(), home);
    expect(await startOther().lock(id)).toContain(`process ${process.pid}`);
    await lock.release();
    expect(await files()).toEqual(FREE);
  });

  it("is shared by all activations of one process until the last releases it", async () => {
    const before = await lockConversation(id, marker(), home);
    const after = await lockConversation(id, marker(), home);
    const other = startOther();
    await before.release();
    await before.release();
    expect(await other.lock(id)).toContain("is in use");
    await after.release();
    await after.release();
    expect(await other.lock(id)).toBe("held");
  });

  it("keeps the lock when one activation locks while the last one releases", async () => {
    const other = startOther();
    for (let round = 0; round < 20; round++) {
      const before = await lockConversation(id, marker(), home);
      const [, after] = await Promise.all([before.release(), lockConversation(id, marker(), home)]);
      if (round === 0) expect(await other.lock(id)).toContain("is in use");
      await after.release();
    }
    expect(await files()).toEqual(FREE);
    expect(await other.lock(id)).toBe("held");
  });

  it("resolves two names of one folder", async () => {
    const link = `${home}-link`;
    await symlink(home, link);
    const [one, two] = [await lockConversation(id, marker(), home), await lockConversation(id, marker(), link)];
    await one.release();
    expect(await startOther().lock(id)).toContain("is in use");
    await two.release();
    expect(await files()).toEqual(FREE);
    await rm(link);
  });

  it("replaces a lock file with other content", async () => {
    await (await lockConversation(id, marker(), home)).release();
    for (const content of ["", "nonsense", "x".repeat(10_000)]) {
      await writeFile(join(home, "castellan-locks", `${id}.lock`), content);
      const lock = await lockConversation(id, marker(), home);
      expect(await startOther().lock(id)).toContain("is in use");
      await lock.release();
      expect(await files()).toEqual(FREE);
    }
  });

  it("leaves another process's lock file alone when it cannot open files itself", async () => {
    const other = startOther();
    expect(await other.lock(id)).toBe("held");
    const before = await stat(join(home, "castellan-locks", `${id}.lock`));
    const script = fileURLToPath(new URL("./lock-without-files.ts", import.meta.url));
    // The lock fails, because a process that starts a moment later might write.
    expect(execFileSync(process.execPath, [script, home, id], { encoding: "utf8" })).toMatch(/EMFILE|unable to open/);
    expect((await stat(join(home, "castellan-locks", `${id}.lock`))).ino).toBe(before.ino);
    await expect(lockConversation(id, marker(), home)).rejects.toBeInstanceOf(ConversationInUse);
  });

  it("rejects with the stopped process that holds the guard, and locks once that continues", async () => {
    const script = fileURLToPath(new URL("./guard-holder.ts", import.meta.url));
    const holder = spawn(process.execPath, [script, home], { stdio: ["ignore", "pipe", "inherit"] });
    others.push(holder);
    await once(holder.stdout, "data");
    const refused = await lockConversation(id, marker(), home, 100).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(LockGuarded);
    expect(String(refused)).toContain(join("castellan-locks", "guard"));
    if (process.platform === "linux") expect(String(refused)).toContain(`process ${holder.pid} `);
    const waiting = lockConversation(id, marker(), home);
    holder.kill("SIGCONT");
    await (await waiting).release();
    expect(await files()).toEqual(FREE);
  });

  it("locks per conversation and per configuration directory", async () => {
    expect(await startOther().lock(id)).toBe("held");
    await (await lockConversation(randomUUID(), marker(), home)).release();
    await (await lockConversation(id, marker(), join(home, "other"))).release();
  });

  it("succeeds without a lock where it cannot write", async () => {
    const lock = await lockConversation(id, marker(), "/dev/null/nowhere");
    await lock.release();
  });

  it("has one holder at a time among processes that are killed at random", { timeout: 60_000 }, async () => {
    const { rounds, violations } = await contest(home, { processes: 4, rounds: 200 });
    expect(violations).toEqual([]);
    expect(rounds).toBeGreaterThanOrEqual(200);
  });
});

describe("verdict()", () => {
  it("finds two holders, and a killed process that continues", () => {
    const one = ["", "holds a 1", "holds a 2", "leaves a 2"].join("\n");
    const dead = ["", "holds a 1", "kill - 1", "holds a 2", "still a 1", "leaves a 2"].join("\n");
    const right = ["", "holds a 1", "kill - 1", "still a 1", "holds a 2", "leaves a 2", "holds a 3"].join("\n");
    expect(verdict(one).violations).toHaveLength(1);
    expect(verdict(dead).violations).toHaveLength(1);
    expect(verdict(right)).toEqual({ rounds: 3, killedHolding: 1, violations: [] });
  });
});
