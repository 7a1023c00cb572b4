import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatMarker, isAlive, MARKER, ownerOf, thisOwner } from "../../src/claude/marker.ts";
import { endMarked, findMarked } from "../../src/claude/process-tree.ts";
import { systemClock } from "../../src/clock.ts";

const field = fc.stringMatching(/^[^/]+$/);

describe("Marker", () => {
  it("identifies its owner", () => {
    fc.assert(
      fc.property(field, fc.nat(), field, field, (namespace, pid, startTime, activation) => {
        const owner = { namespace, pid, startTime };
        expect(ownerOf(formatMarker(owner, activation))).toEqual(owner);
      }),
    );
  });

  it.each(["", "a", "a/1/2", "/1/2/x", "a/one/2/x", "a/-1/2/x", "a/1//x", "a/1/2/", "a/1/2/x/y"])(
    "has no owner if it is %j",
    (marker) => {
      expect(ownerOf(marker)).toBeUndefined();
    },
  );

  it("names this process as its owner", () => {
    const owner = ownerOf(formatMarker(thisOwner(), randomUUID()));
    expect(owner).toEqual(thisOwner());
  });

  it.skipIf(process.platform !== "linux")("isAlive() tells the owner from another process with its pid", () => {
    expect(isAlive(thisOwner())).toBe(true);
    expect(isAlive({ ...thisOwner(), startTime: "1" })).toBe(false);
    expect(isAlive({ ...thisOwner(), pid: 2 ** 30 })).toBe(false);
  });

  it.skipIf(process.platform !== "linux")("isAlive() takes no owner for dead without a proof", () => {
    expect(isAlive({ ...thisOwner(), startTime: "unknown" })).toBe(true);
    expect(isAlive({ ...thisOwner(), pid: 2 ** 30, startTime: "unknown" })).toBe(false);
  });
});

it.skipIf(process.platform !== "linux")("isAlive(): is false for a zombie", async () => {
  // `exec` replaces the shell by a process that never reaps the shell's child.
  const script = "cat <&3 & echo $!; exec tail -f /dev/null";
  const parent = spawn("sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore", "pipe"] });
  const { stdout } = parent;
  if (stdout === null) throw new Error("stdout is not piped");
  try {
    const [said] = await once(stdout, "data");
    const pid = Number(said);
    const stat = (): string[] =>
      readFileSync(`/proc/${pid}/stat`, "latin1")
        .replace(/^.*\) /s, "")
        .split(" ");
    const owner = { ...thisOwner(), pid, startTime: String(stat()[19]) };
    expect(isAlive(owner)).toBe(true);
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, "latin1"), { interval: 5 }).toBe("tail\n");
    process.kill(pid, "SIGKILL");
    await expect.poll(() => stat()[0], { interval: 5 }).toBe("Z");
    expect(isAlive(owner)).toBe(false);
  } finally {
    const ended = once(parent, "exit");
    parent.kill("SIGKILL");
    await ended;
  }
});

describe.skipIf(process.platform !== "linux")("endMarked", () => {
  it("kills a process that left its group and ignores SIGTERM, and none with another marker", async () => {
    const start = async (marker: string) => {
      const script = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000);";
      const env = { [MARKER]: marker };
      const child = spawn(process.execPath, ["-e", script], {
        detached: true,
        env,
        stdio: ["ignore", "pipe", "ignore"],
      });
      const exited = once(child, "exit");
      await once(child.stdout, "data");
      return { pid: child.pid, exited, child };
    };
    const [marker, other] = [`${randomUUID()}/1/1/a`, `${randomUUID()}/1/1/a`];
    const [one, bystander] = await Promise.all([start(marker), start(other)]);
    try {
      expect(await findMarked((found) => found === marker)).toEqual([{ pid: one.pid, marker }]);
      await endMarked(marker, systemClock);
      expect(await one.exited).toEqual([null, "SIGKILL"]);
      expect(await findMarked((found) => found === marker)).toEqual([]);
      expect(await findMarked((found) => found === other)).toEqual([{ pid: bystander.pid, marker: other }]);
    } finally {
      bystander.child.kill("SIGKILL");
      await bystander.exited;
    }
  });

  it("does nothing when no process has the marker", async () => {
    await endMarked(randomUUID(), systemClock);
  });
});
