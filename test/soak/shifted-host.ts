import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pass } from "node:timers/promises";
import { on } from "../../src/events.ts";
import { CastellanError, type Session, type SessionOptions, Supervisor } from "../../src/index.ts";
import { type FakeScript, fakeClaude, hitsLimit } from "../../src/testing/index.ts";

/*
 * An application whose wall clock is set while it works. libfaketime reads the offset from a file. The application is a
 * process of its own, and reports the result of each trial.
 */

const [, , file = ""] = process.argv;
const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const COST_USD = 0.01;

interface TrialReport {
  readonly trial: string;
  /** What is wrong. Empty if nothing is. */
  readonly faults: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
}

let offSeconds = 0;
const unhandled: string[] = [];
process.on("unhandledRejection", (reason) => unhandled.push(String(reason)));

/** Moves the wall clock by that much. */
function set(ms: number): void {
  const before = Date.now();
  offSeconds += Math.round(ms / SECOND);
  writeFileSync(file, `${offSeconds < 0 ? "" : "+"}${offSeconds}`);
  const moved = Date.now() - before;
  if (Math.abs(moved - ms) > 2 * SECOND) throw new Error(`the clock was set by ${moved} ms and not by ${ms}`);
}

function setTo(iso: string): void {
  set(Math.round((Date.parse(iso) - Date.now()) / SECOND) * SECOND);
}

const durations: number[] = [];
on("castellan:turn:begin", ({ queuedMs }) => durations.push(queuedMs));
on("castellan:turn:end", ({ durationMs }) => durations.push(durationMs));

let trials = 0;

async function trial(
  name: string,
  options: { readonly session?: Omit<SessionOptions, "name">; readonly script?: FakeScript },
  run: (session: Session, supervisor: Supervisor) => Promise<Record<string, unknown> & { faults: string[] }>,
): Promise<void> {
  const fake = fakeClaude(options.script, { costPerTurnUsd: COST_USD });
  const directory = mkdtempSync(join(tmpdir(), "castellan-shifted-"));
  const id = `shifted-${++trials}`;
  const supervisor = await Supervisor.start([{ name: id, ...options.session }], {
    name: id,
    journal: { sqlite: join(directory, "journal.db") },
    logger: { info: () => {}, warn: () => {} },
    defaults: { spawnClaudeCodeProcess: fake.spawn },
  });
  durations.length = 0;
  const { faults, ...figures } = await run(supervisor.session(id), supervisor).catch((error: unknown) => {
    return { faults: [String(error)] };
  });
  await supervisor.stop();
  rmSync(directory, { recursive: true, force: true });
  const strange = durations.filter((ms) => ms < 0 || ms > 60 * SECOND);
  const all = [...faults, ...(strange.length === 0 ? [] : [`turns took ${strange.join()} ms`])];
  process.stdout.write(`${JSON.stringify({ trial: name, faults: all, figures } satisfies TrialReport)}\n`);
}

async function took(work: Promise<unknown>): Promise<number> {
  const since = performance.now();
  await work;
  return Math.round(performance.now() - since);
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => "done",
    (error: unknown) => (CastellanError.is(error) ? error.code : String(error)),
  );
}

function between(what: string, ms: number, least: number, most: number): string[] {
  return ms >= least && ms <= most ? [] : [`${what} took ${ms} ms, and not ${least} to ${most}`];
}

const localHour = (): string => new Date().toString().slice(16, 33);

// Both nights of a time change, and a jump of a whole hour each way, as with a clock that keeps local time.
for (const [night, begin] of [
  ["spring", "2026-03-29T00:59:58Z"],
  ["autumn", "2026-10-25T00:59:58Z"],
] as const) {
  await trial(
    `the night of the change in ${night}`,
    { session: { budget: { usd: 0.055, per: "day" } } },
    async (session, supervisor) => {
      setTo(begin);
      const before = localHour();
      const ends: string[] = [];
      for (let turn = 0; turn < 8; turn++) {
        ends.push(await codeOf(session.query(`turn ${turn}`)));
        await pass(400);
      }
      const after = localHour();
      const days = await supervisor.usage({ by: ["day"] });
      const faults = [
        ...(ends.filter((end) => end === "done").length === 6 ? [] : [`of eight turns these ended so: ${ends.join()}`]),
        ...(days.length === 1 && days[0]?.day === begin.slice(0, 10) ? [] : [`days are ${JSON.stringify(days)}`]),
        ...(before === after ? [`the local time has not changed: ${after}`] : []),
      ];
      return { faults, before, after, ends: ends.join() };
    },
  );
}

for (const [way, ms] of [
  ["an hour forward", HOUR],
  ["an hour back", -HOUR],
  ["a day forward", DAY],
  ["a day back", -DAY],
] as const) {
  await trial(
    `back-off after an overload, the clock set ${way}`,
    { script: async (turn) => await (turn.index === 0 ? turn.fail({ status: 529 }) : turn.text("sound")) },
    async (session) => {
      const turn = session.query("first", { queueTimeout: "20s" });
      const code = codeOf(turn);
      await pass(200);
      set(ms);
      // An untouched turn fails, and the next one waits.
      const second = codeOf(session.query("second", { queueTimeout: "20s" }));
      const waitedMs = await took(second);
      return {
        faults: between("the back-off", waitedMs, 0, 3 * SECOND),
        first: await code,
        second: await second,
        waitedMs,
      };
    },
  );
  await trial(
    `the expiry of an approval, the clock set ${way}`,
    {
      session: { approvals: { timeout: "2s" } },
      script: async (turn) => {
        await turn.askPermission("Bash", { command: "true" });
        await turn.text("asked");
      },
    },
    async (session) => {
      const since = performance.now();
      let asked = 0;
      const events = (async () => {
        for await (const event of session.events()) {
          if (event.type === "approval_requested") {
            asked++;
            set(ms);
          }
          if (event.type === "approval_settled")
            return { outcome: event.outcome, ms: Math.round(performance.now() - since) };
        }
        return undefined;
      })();
      await session.query("ask");
      const settled = await events;
      const faults = [
        ...between("the approval", settled?.ms ?? 0, 1_800, 4_000),
        ...(settled?.outcome === "expired" && asked === 1 ? [] : [`asked ${asked} times, ${settled?.outcome}`]),
      ];
      return { faults, ...settled };
    },
  );
  await trial(
    `an idle timer and a timeout, the clock set ${way}`,
    {
      session: { idleTimeout: "1s" },
      script: async (turn) => {
        if (turn.prompt === "hang") await turn.hang();
        await turn.text("sound");
      },
    },
    async (session) => {
      await session.query("warm");
      const since = performance.now();
      set(ms);
      while (session.status().state !== "hibernated" && performance.now() - since < 10 * SECOND) await pass(20);
      const idleMs = Math.round(performance.now() - since);
      const hanging = codeOf(session.query("hang", { timeout: "1500ms" }));
      const began = performance.now();
      await pass(300);
      set(-ms);
      const end = await hanging;
      const timeoutMs = Math.round(performance.now() - began);
      const faults = [
        ...between("idleness", idleMs, 800, 2_500),
        ...between("the timeout", timeoutMs, 1_400, 4_000),
        ...(end === "TURN_TIMEOUT" ? [] : [`the turn ended with ${end}`]),
      ];
      return { faults, idleMs, timeoutMs };
    },
  );
  await trial(
    `a budget for each day, the clock set ${way} and again to what it was`,
    {
      session: { budget: { usd: 0.025, per: "day" } },
    },
    async (session, supervisor) => {
      setTo("2026-06-10T12:00:00Z");
      const ends = [await codeOf(session.query("one")), await codeOf(session.query("two"))];
      set(ms);
      ends.push(await codeOf(session.query("three")));
      set(-ms);
      ends.push(await codeOf(session.query("four")), await codeOf(session.query("five")));
      const isOther = Math.abs(ms) >= DAY;
      const expected = isOther
        ? "done,done,done,done,BUDGET_EXCEEDED"
        : "done,done,done,BUDGET_EXCEEDED,BUDGET_EXCEEDED";
      const spent = (await supervisor.usage({ by: ["day"] })).map(({ day, costUsd }) => `${day} ${costUsd.toFixed(2)}`);
      const faults = ends.join() === expected ? [] : [`ended with ${ends.join()}, and not ${expected}`];
      return { faults, spent };
    },
  );
}

const limited =
  (leftMs: number): FakeScript =>
  async (turn) => {
    if (turn.index === 0) await hitsLimit(Date.now() + leftMs)(turn);
    else await turn.text("sound");
  };

await trial(
  "a limit of use that ends in two hours, the clock set so far forward",
  { script: limited(2 * HOUR) },
  async (session) => {
    const first = codeOf(session.query("first", { queueTimeout: "10h" }));
    while (session.status().waitingFor === undefined) await pass(20);
    const waits = JSON.stringify(session.status().waitingFor);
    const next = codeOf(session.query("next", { queueTimeout: "10h" }));
    set(2 * HOUR + 5 * SECOND);
    const waitedMs = await Promise.race([took(next), pass(40 * SECOND, 40 * SECOND)]);
    return {
      faults: between("the hold", waitedMs, 0, 35 * SECOND),
      waits,
      waitedMs,
      first: await Promise.race([first, "waits"]),
    };
  },
);
await trial(
  "a limit of use that ends in four seconds, the clock set an hour back",
  { script: limited(4 * SECOND) },
  async (session) => {
    const first = codeOf(session.query("first", { queueTimeout: "10h" }));
    while (session.status().waitingFor === undefined) await pass(20);
    const next = codeOf(session.query("next", { queueTimeout: "10h" }));
    set(-HOUR);
    const waitedMs = await Promise.race([took(next), pass(20 * SECOND, 20 * SECOND)]);
    return {
      faults: between("the hold", waitedMs, 2 * SECOND, 8 * SECOND),
      waitedMs,
      first: await Promise.race([first, "waits"]),
    };
  },
);
process.stdout.write(`${JSON.stringify({ trial: "no rejection is left", faults: unhandled, figures: {} })}\n`);
process.exit();
