import { randomInt } from "node:crypto";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FarClaude } from "../../bench/far-claude.ts";
import { randomFrom } from "../../bench/random.ts";
import { Supervisor, template } from "../../src/index.ts";
import { unique } from "../session-on-fake/scene.ts";
import { LoadTraffic, quarantined } from "./load-traffic.ts";
import { bytesPerTurn, type HeapSample, liveHeap } from "./load-trend.ts";

const SEED = Number(process.env["SOAK_SEED"] ?? randomInt(2 ** 32 - 1));
const MINUTES = Number(process.env["SOAK_MINUTES"] ?? 1);

/** More names than kept sessions, more of these than processes, and more callers than processes. */
const [NAMES, SESSIONS, PROCESSES, CALLERS] = [60, 30, 6, 16];

/** The slope that counts as flat, in bytes per turn. Turns in flight make every line uneven. */
const TOLERANCE = 256;

/** The number of samples in a run. */
const SAMPLES = 60;

interface Load {
  readonly traffic: LoadTraffic;
  readonly samples: readonly HeapSample[];
}

/** Runs a supervisor at full load. `keep` is called after each turn. */
async function load(far: FarClaude, seed: number, minutes: number, keep: () => void = () => {}): Promise<Load> {
  const directory = await mkdtemp(join(tmpdir(), "castellan-load-"));
  const family = unique("family");
  const supervisor = await Supervisor.start([template(family, {}, { maxSessions: SESSIONS })], {
    journal: { sqlite: join(directory, "journal.db") },
    capacity: { maxProcesses: PROCESSES },
    maxRestarts: 1_000_000,
    logger: { info: () => {}, warn: () => {} },
    defaults: { spawnClaudeCodeProcess: far.spawn, onInterruptedTurn: "fail", idleTimeout: 200 },
  });
  const traffic = new LoadTraffic(family, NAMES, randomFrom(seed));
  const samples: HeapSample[] = [];
  const since = performance.now();
  const durationMs = minutes * 60_000;
  await traffic.run(CALLERS, () => {
    keep();
    const ms = performance.now() - since;
    if (ms >= (samples.length * durationMs) / SAMPLES) samples.push({ turns: traffic.done, bytes: liveHeap() });
    return ms >= durationMs;
  });
  expect(quarantined(supervisor)).toEqual([]);
  await supervisor.stop();
  await rm(directory, { recursive: true });
  return { traffic, samples };
}

/** Returns the open descriptors and the listeners of this process. */
function resources(): { descriptors: number; listeners: number } {
  const listeners = process.eventNames().reduce((sum, event) => sum + process.listenerCount(event), 0);
  return { descriptors: readdirSync("/proc/self/fd").length, listeners };
}

it(`Supervisor: does not grow in ${MINUTES} minutes at full load, seed ${SEED}`, {
  timeout: (MINUTES + 2) * 60_000,
}, async () => {
  await using far = await FarClaude.start();
  // Opens what stays open for the life of the host.
  await load(far, SEED + 1, 0.05);
  const before = resources();
  const { traffic, samples } = await load(far, SEED, MINUTES);
  const slope = bytesPerTurn(samples);
  const [first, middle, last] = [0, Math.floor(samples.length / 2), samples.length - 1].map(
    (at) => `${((samples[at]?.bytes ?? 0) / 2 ** 20).toFixed(1)} MB`,
  );
  const { most } = await far.count();
  const outcomes = JSON.stringify(Object.fromEntries([...traffic.outcomes].toSorted()));
  const heap = `heap ${first}, ${middle}, ${last}; ${slope.toFixed(0)} bytes a turn`;
  console.log(`seed ${SEED}: ${traffic.done} turns, ${heap}; ${most} processes at a time; ${outcomes}`);
  expect(traffic.faults).toEqual([]);
  expect(Math.abs(slope)).toBeLessThan(TOLERANCE);
  expect(most).toBeLessThanOrEqual(PROCESSES);
  expect(resources()).toEqual(before);
});

it("the heap trend: detects a leak of one kilobyte a turn", { timeout: 120_000 }, async () => {
  await using far = await FarClaude.start();
  const left: number[][] = [];
  const { samples } = await load(far, SEED, 0.5, () => left.push(Array.from({ length: 128 }, () => 0.5)));
  expect(bytesPerTurn(samples)).toBeGreaterThan(TOLERANCE);
});
