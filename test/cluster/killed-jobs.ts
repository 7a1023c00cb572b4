import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { global } from "../../src/index.ts";
import type { RealCluster } from "./real-cluster.ts";

/** The members of a node's pool. */
const MEMBERS = 2;

/** Gives the cluster's pool jobs, kills a node half way, and expects that each was asked once. Starts the node again. */
export async function runKilled(cluster: RealCluster, folder: string, jobs: number): Promise<void> {
  const notes = join(folder, `notes of ${jobs}`.replaceAll(" ", "-"));
  writeFileSync(notes, "");
  const crew = cluster.client.pool(global("crew"));
  const numbers = Array.from({ length: jobs }, (_, n) => n);
  const prompt = (n: number): string => `note ${notes} ${n}`;
  const enqueueAll = (): Promise<string[]> =>
    Promise.all(numbers.map((n) => crew.enqueue(prompt(n), { idempotencyKey: `document ${n} of ${jobs}` })));
  const ids = await enqueueAll();
  const asked = (): string[] => readFileSync(notes, "utf8").split("\n").slice(0, -1);
  await expect.poll(() => asked().length, { timeout: 60_000, interval: 10 }).toBeGreaterThan(jobs / 3);
  cluster.node("one").kill("SIGKILL");
  // The same program again: each key is the same job.
  expect(await enqueueAll()).toEqual(ids);
  const ends = await Promise.all(
    ids.map(async (id) => {
      const turn = await crew.turn(id);
      return await turn?.result().then(
        () => "completed",
        (error: { code: string; message: string }) => (error.code === "TURN_INTERRUPTED" ? error.code : error.message),
      );
    }),
  );
  expect(ends.filter((end) => end !== "completed" && end !== "TURN_INTERRUPTED")).toEqual([]);
  // A member of the killed node may have begun to answer.
  expect(ends.filter((end) => end === "TURN_INTERRUPTED").length).toBeLessThanOrEqual(MEMBERS);
  // It may also have asked without getting an answer, so that the next owner asks again.
  const all = asked();
  expect([...new Set(all)].toSorted()).toEqual(numbers.map(prompt).toSorted());
  expect(all.length - jobs).toBeLessThanOrEqual(MEMBERS);
  await cluster.node("one").gone;
  await cluster.join("one");
}
