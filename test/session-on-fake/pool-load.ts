import { expect } from "vitest";
import { checkout, query } from "../../src/castellan.ts";
import { CastellanError, pool } from "../../src/index.ts";
import type { Session } from "../../src/session/session.ts";
import type { FakeScript } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { eventually, Scene, unique, within } from "./scene.ts";

const SIZE = 8;
const BORROWERS = 32;

/** Errors with which a turn may end: its process died, or its loan ended. */
const MISHAPS = new Set(["TURN_INTERRUPTED", "TURN_CANCELLED", "LOAN_ENDED"]);

/** Returns a seeded random number generator from 0 to 1 (mulberry32). */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The result of a load. */
export interface PoolLoad {
  readonly answered: number;
  readonly mishaps: Readonly<Record<string, number>>;
  readonly crashes: number;
  readonly forgotten: number;
  readonly processes: number;
}

/**
 * Runs `turns` turns through a pool of eight, in loans of up to eight turns and in single queries, while processes die at random
 * and some borrowers forget to check in. Checks that no member is lost or lent twice, every turn ends once, and no borrower sees
 * another's text.
 */
export async function loadPool(turns: number, seed: number): Promise<PoolLoad> {
  const [random, name, clock] = [chance(seed), unique("pool"), new SimulatedClock()];
  let [asked, crashes, forgotten, borrower] = [0, 0, 0, 0];
  const outcomes = new Map<string, string[]>();
  const note = (prompt: string, outcome: string): void => {
    outcomes.set(prompt, [...(outcomes.get(prompt) ?? []), outcome]);
  };
  const foreign: string[] = [];
  const script: FakeScript = async (turn) => {
    const own = `borrower ${turn.prompt.split(" ")[1]} `;
    for (const { role, text } of turn.history) if (role === "user" && !text.startsWith(own)) foreign.push(text);
    const fate = random();
    if (fate < 0.02) {
      crashes += 1;
      // A crash before any output is retried; after output it ends the turn.
      if (fate < 0.01) await turn.partial("I");
      await turn.crash({ signal: "SIGKILL" });
    }
    await turn.text(`for ${turn.prompt}`);
  };
  await using scene = await Scene.open({
    clock,
    script,
    children: [pool(name, { size: SIZE, lease: "5m" })],
    options: { maxRestarts: 1_000_000 },
  });
  const { supervisor } = scene;
  const ask = async (how: (prompt: string) => ReturnType<Session["query"]>, who: number): Promise<boolean> => {
    if (asked >= turns) return false;
    const prompt = `borrower ${who} turn ${asked++}`;
    try {
      const { text } = await how(prompt);
      note(prompt, text === `for ${prompt}` ? "answered" : `foreign: ${text}`);
    } catch (error) {
      note(prompt, CastellanError.is(error) ? error.code : String(error));
    }
    return true;
  };
  const lent = new Set<string>();
  const borrow = async (who: number): Promise<void> => {
    const loan = await checkout(name, { timeout: "10h" });
    const member = JSON.stringify(loan.session.name);
    expect(lent.has(member), `${member} was lent twice`).toBe(false);
    lent.add(member);
    const most = 1 + Math.floor(random() * 8);
    for (let at = 0; at < most && (await ask((prompt) => loan.session.query(prompt), who)); at++);
    lent.delete(member);
    if (random() < 0.01) forgotten += 1;
    // This check-in interrupts a running turn.
    else if (random() < 0.05 && asked < turns)
      await Promise.all([ask((prompt) => loan.session.query(prompt), who), loan.checkin()]);
    else await loan.checkin();
  };
  const work = async (): Promise<void> => {
    while (asked < turns) {
      const who = borrower++;
      if (random() < 0.3) await ask((prompt) => query(name, prompt, { queueTimeout: "10h" }), who);
      else await borrow(who);
    }
  };
  await within(clock, Promise.all(Array.from({ length: BORROWERS }, work)));
  await within(
    clock,
    eventually(() => supervisor.pool(name).status().idle === SIZE),
  );

  const said = `seed ${seed}`;
  expect(foreign, said).toEqual([]);
  expect(outcomes.size, said).toBe(turns);
  const ends = [...outcomes.values()].map((list) => list.join(", "));
  expect(
    ends.filter((end) => end !== "answered" && !MISHAPS.has(end)),
    said,
  ).toEqual([]);
  const { members, ...status } = supervisor.pool(name).status();
  expect(status, said).toEqual({ name, size: SIZE, min: SIZE, max: SIZE, lent: 0, idle: SIZE, waiting: 0, jobs: 0 });
  expect(
    members.map((member) => member.name),
    said,
  ).toEqual(Array.from({ length: SIZE }, (_, index) => [name, index]));
  const mishaps: Record<string, number> = {};
  for (const end of ends) if (end !== "answered") mishaps[end] = (mishaps[end] ?? 0) + 1;
  const answered = ends.filter((end) => end === "answered").length;
  return { answered, mishaps, crashes, forgotten, processes: scene.fake.processes.length };
}
