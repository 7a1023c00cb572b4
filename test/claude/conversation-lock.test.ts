import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConversationInUse, lockConversation } from "../../src/claude/conversation-lock.ts";
import { formatMarker, type Owner, thisOwner } from "../../src/claude/marker.ts";

let home: string;
const id = randomUUID();

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "castellan-lock-"));
});

afterEach(async () => {
  await rm(home, { recursive: true });
});

const path = (): string => join(home, "castellan-locks", id);
const marker = (owner: Owner = thisOwner()): string => formatMarker(owner, randomUUID());

/** Another process, as an owner, and its death. */
async function another(): Promise<{ readonly owner: Owner; end(): Promise<void> }> {
  const child = spawn("cat");
  await once(child, "spawn");
  const stat = await readFile(`/proc/${child.pid}/stat`, "latin1");
  const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "";
  return {
    owner: { ...thisOwner(), pid: child.pid ?? 0, startTime },
    end: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

describe.skipIf(process.platform !== "linux")("the lock of a conversation", () => {
  it("is refused while another application holds it, which is named, and taken over when that is dead", async () => {
    const other = await another();
    await lockConversation(id, marker(other.owner), home);
    const refused = await lockConversation(id, marker(), home).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConversationInUse);
    expect(String(refused)).toContain(`process ${other.owner.pid}`);
    await other.end();
    const mine = marker();
    const lock = await lockConversation(id, mine, home);
    expect(await readFile(path(), "utf8")).toBe(mine);
    await lock.release();
    expect(await readdir(join(home, "castellan-locks"))).toEqual([]);
  });

  it("is refused to none of this application's own activations, and the last one has it", async () => {
    const [first, second] = [marker(), marker()];
    const before = await lockConversation(id, first, home);
    const after = await lockConversation(id, second, home);
    await before.release();
    expect(await readFile(path(), "utf8")).toBe(second);
    await after.release();
    await after.release();
    expect(await readdir(join(home, "castellan-locks"))).toEqual([]);
  });

  it("does not believe an owner whose life nobody here can prove, or that says nothing", async () => {
    const elsewhere = { ...thisOwner(), namespace: "pid:[1]", pid: 1 };
    const reborn = { ...thisOwner(), startTime: "1" };
    for (const content of [marker(elsewhere), marker(reborn), "", "nonsense"]) {
      await (await lockConversation(id, marker(), home)).release();
      await writeFile(path(), content);
      const mine = marker();
      const lock = await lockConversation(id, mine, home);
      expect(await readFile(path(), "utf8")).toBe(mine);
      await lock.release();
    }
  });

  it("is one for each conversation and each place of transcripts", async () => {
    const other = await another();
    await lockConversation(id, marker(other.owner), home);
    await (await lockConversation(randomUUID(), marker(), home)).release();
    await (await lockConversation(id, marker(), join(home, "other"))).release();
    await other.end();
  });

  it("is had by one of many that ask at once for that of a dead one", async () => {
    const owners = await Promise.all(Array.from({ length: 8 }, another));
    const dead = await another();
    for (let round = 0; round < 100; round++) {
      await (await lockConversation(id, marker(), home)).release();
      await writeFile(path(), marker(dead.owner));
      if (round === 0) await dead.end();
      const asked = owners.map(({ owner }) => lockConversation(id, marker(owner), home));
      const got = (await Promise.allSettled(asked)).filter(({ status }) => status === "fulfilled");
      expect(got).toHaveLength(1);
      await Promise.all(got.map(async (one) => one.status === "fulfilled" && (await one.value.release())));
    }
    await Promise.all(owners.map(({ end }) => end()));
  });

  it("is not taken over by two at once, and not kept by one who died over it", async () => {
    const turn = `${path()}.taking`;
    await (await lockConversation(id, marker(), home)).release();
    await writeFile(path(), "");
    await mkdir(turn);
    await expect(lockConversation(id, marker(), home)).rejects.toBeInstanceOf(ConversationInUse);
    expect(await readFile(path(), "utf8")).toBe("");
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(turn, longAgo, longAgo);
    const mine = marker();
    const lock = await lockConversation(id, mine, home);
    expect(await readFile(path(), "utf8")).toBe(mine);
    await lock.release();
    expect(await readdir(join(home, "castellan-locks"))).toEqual([]);
  });

  it("keeps nobody from starting where it cannot be written", async () => {
    const lock = await lockConversation(id, marker(), "/dev/null/nowhere");
    await lock.release();
  });
});
