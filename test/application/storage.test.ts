import { expect, test } from "vitest";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import { newFolder } from "../journal/sqlite-scene.ts";
import { failure, Scene } from "../session-on-fake/scene.ts";

test("storage(): asks a journal in memory and one in a file", async () => {
  await using scene = await Scene.open({ options: { journal: "memory" } });
  expect(await scene.supervisor.storage()).toEqual({
    journal: { kind: "memory", location: "memory", latencyMs: expect.any(Number) },
  });
  const path = `${newFolder()}/castellan.db`;
  await using other = await Scene.open({ options: { journal: { sqlite: path } } });
  const { journal } = await other.supervisor.storage();
  expect(journal).toEqual({
    kind: "sqlite",
    location: path,
    version: expect.stringMatching(/^3\.\d+\.\d+$/),
    latencyMs: expect.any(Number),
  });
  await other.supervisor.stop();
  await failure(other.supervisor.storage(), "SUPERVISOR_STOPPED");
});

test("storage(): tells why a custom journal does not answer, and when it last refused a write", async () => {
  const inner = memoryJournal();
  let broken = false;
  const journal = new Proxy(inner, {
    get(target, name): unknown {
      if (name === "kind") return undefined;
      if (broken && (name === "write" || name === "turn")) return () => Promise.reject(new Error("the disk is away"));
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  await using scene = await Scene.open({ options: { journal } });
  await scene.session.query("hello");
  expect((await scene.supervisor.storage()).journal).toEqual({
    kind: "custom",
    location: "memory",
    latencyMs: expect.any(Number),
  });
  broken = true;
  void scene.session.describe({ title: "unwritten" }).catch(() => {});
  await expect.poll(async () => (await scene.supervisor.storage()).journal.lastFault).toBeDefined();
  const report = (await scene.supervisor.storage()).journal;
  expect(report).toMatchObject({ kind: "custom", fault: expect.stringContaining("the disk is away") });
  expect(report.lastFault?.message).toContain("the disk is away");
  expect(report).not.toHaveProperty("latencyMs");
  broken = false;
  await expect.poll(async () => (await scene.supervisor.storage()).journal.fault, { timeout: 10_000 }).toBeUndefined();
  expect((await scene.supervisor.storage()).journal.lastFault?.message).toContain("the disk is away");
});
