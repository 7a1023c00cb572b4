import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, it, vi } from "vitest";
import { formatMarker, MARKER, thisOwner } from "../../src/claude/marker.ts";
import { endMarked, endOrphans, findMarked } from "../../src/claude/process-tree.ts";
import { systemClock } from "../../src/clock.ts";

const started: ChildProcess[] = [];

/** Has its marker only once it ignores SIGTERM, because a supervisor of another test file may end it at any time. */
const DEAF = `trap '' TERM; exec env "$0=$1" tail -f /dev/null`;

/** Starts a process with this marker in its own session. With `deaf`, it ignores SIGTERM. */
async function marked(marker: string, { deaf = false } = {}): Promise<ChildProcess> {
  const [name, ...parameters] = deaf ? ["sh", "-c", DEAF, MARKER, marker] : ["tail", "-f", "/dev/null"];
  const child = spawn(name ?? "", parameters, {
    detached: true,
    stdio: "ignore",
    env: { PATH: process.env["PATH"], ...(deaf ? {} : { [MARKER]: marker }) },
  });
  started.push(child);
  await once(child, "spawn");
  // Until `exec` has run, the process has this one's environment.
  await vi.waitUntil(async () => !runs(child) || (await findMarked((other) => other === marker)).length > 0, {
    interval: 5,
    timeout: 30_000,
  });
  return child;
}

function runs({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null;
}

afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});

describe("endMarked", () => {
  it("kills all processes with the marker, and no others", async () => {
    const [mine, others] = [formatMarker(thisOwner(), "mine"), formatMarker(thisOwner(), "others")];
    const children = [await marked(mine), await marked(mine)];
    const other = await marked(others);
    const exits = children.map((child) => once(child, "exit"));
    await endMarked(mine, systemClock);
    expect((await Promise.all(exits)).map(([, signal]) => signal)).toEqual(["SIGKILL", "SIGKILL"]);
    expect(await findMarked((marker) => marker === mine)).toEqual([]);
    expect(runs(other)).toBe(true);
  });
});

/** Returns the signal that ended the process. A supervisor of another test file may have sent it. */
async function signalOf(child: ChildProcess): Promise<NodeJS.Signals | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.signalCode;
}

describe("endOrphans", () => {
  it("ends processes of a dead host, and leaves those of a living one and of another container alone", async () => {
    const self = thisOwner();
    const dead = spawnSync("true").pid;
    const orphan = await marked(formatMarker({ ...self, pid: dead, startTime: "1" }, "a"));
    // A reused pid: the same as a living process, with another start time.
    const reused = await marked(formatMarker({ ...self, startTime: "1" }, "b"));
    const living = await marked(formatMarker(self, "c"));
    const elsewhere = await marked(formatMarker({ ...self, namespace: "pid:[1]", pid: dead }, "d"));
    const foreign = await marked("something of another program's");

    await endOrphans(systemClock);

    expect(await Promise.all([orphan, reused].map(signalOf))).toEqual(["SIGTERM", "SIGTERM"]);
    expect([living, elsewhere, foreign].map(runs)).toEqual([true, true, true]);
  });

  it("kills an orphan that ignores SIGTERM", async () => {
    const marker = formatMarker({ ...thisOwner(), pid: spawnSync("true").pid, startTime: "1" }, "deaf");
    const deaf = await marked(marker, { deaf: true });
    await endOrphans(systemClock);
    expect(await signalOf(deaf)).toBe("SIGKILL");
    expect(await findMarked((other) => other === marker)).toEqual([]);
  });
});
