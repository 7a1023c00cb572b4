import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatMarker, isAlive, MARKER, ownerOf, thisOwner } from "../../src/claude/marker.ts";
import { endMarked, findMarked } from "../../src/claude/process-tree.ts";
import { systemClock } from "../../src/clock.ts";

const field = fc.stringMatching(/^[^/]+$/);

describe("the marker", () => {
  it("leads back to its owner", () => {
    fc.assert(
      fc.property(field, fc.nat(), field, field, (namespace, pid, startTime, activation) => {
        const owner = { namespace, pid, startTime };
        expect(ownerOf(formatMarker(owner, activation))).toEqual(owner);
      }),
    );
  });

  it.each(["", "a", "a/1/2", "/1/2/x", "a/one/2/x", "a/-1/2/x", "a/1//x", "a/1/2/", "a/1/2/x/y"])(
    "has no owner if it reads %j",
    (marker) => {
      expect(ownerOf(marker)).toBeUndefined();
    },
  );

  it("makes this process its living owner, also after a round trip", () => {
    const owner = ownerOf(formatMarker(thisOwner(), randomUUID()));
    expect(owner).toEqual(thisOwner());
  });

  it.skipIf(process.platform !== "linux")("tells the living owner from one with its pid and another start time", () => {
    expect(isAlive(thisOwner())).toBe(true);
    expect(isAlive({ ...thisOwner(), startTime: "1" })).toBe(false);
    expect(isAlive({ ...thisOwner(), pid: 2 ** 30 })).toBe(false);
  });
});

describe.skipIf(process.platform !== "linux")("endMarked", () => {
  it("ends a process that left its group and ignores SIGTERM, and nothing with another marker", async () => {
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

  it("has nothing to do where nothing carries the marker", async () => {
    await endMarked(randomUUID(), systemClock);
  });
});
