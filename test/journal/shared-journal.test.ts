import { describe, expect, it, onTestFinished, vi } from "vitest";
import { CastellanError } from "../../src/errors.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Journal, JournalOwner, Retention } from "../../src/journal/model/journal.ts";
import { type JournalTerms, openSharedJournal, type SharedJournal } from "../../src/journal/shared-journal.ts";
import { SetClock } from "../set-clock.ts";
import { SimulatedClock, settle } from "../supervision/simulated-clock.ts";

const TERMS: JournalTerms = {
  waitForOwnerMs: 0,
  maxAgeMs: 1_000,
  maxTurns: 7,
  maxEvents: 8,
  maxEventBytes: 9,
  keepsTranscripts: true,
};
const ELSEWHERE: JournalOwner = { id: "elsewhere", pid: 7, host: "there", startedAt: 0 };

function setUp(clock: SimulatedClock = new SimulatedClock()) {
  let id = 0;
  const deps = { clock, newId: () => `owner-${id++}`, random: () => 0.5 };
  const hold = (identity: unknown, journal: Journal, terms = TERMS): Promise<SharedJournal> =>
    openSharedJournal(identity, () => journal, terms, deps);
  return { clock, hold };
}

const code = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "held",
    (error: CastellanError) => error.code,
  );

describe("openSharedJournal", () => {
  it("opens a journal once for all holders, and closes it with the last", async () => {
    const { hold } = setUp();
    const [journal, identity] = [memoryJournal(), {}];
    const [one, two] = await Promise.all([hold(identity, journal), hold(identity, memoryJournal())]);
    expect(two.journal).toBe(one.journal);
    expect(two.writer).toBe(one.writer);
    await one.release();
    await one.release();
    expect(await code(journal.open(ELSEWHERE))).toBe("JOURNAL_IN_USE");
    await two.release();
    await journal.open(ELSEWHERE);
  });

  it("has the journal's transcripts for each holder whose terms keep them", async () => {
    const { hold } = setUp();
    const [journal, identity] = [memoryJournal(), {}];
    const holders = [
      await hold(identity, journal),
      await hold(identity, journal, { ...TERMS, keepsTranscripts: false }),
    ];
    expect(holders.map(({ transcripts }) => transcripts)).toEqual([journal.transcripts, undefined]);
    for (const holder of holders) await holder.release();
  });

  it("reopens a journal that is being closed", async () => {
    const { hold } = setUp();
    const [journal, identity] = [memoryJournal(), {}];
    const one = await hold(identity, journal);
    const released = one.release();
    const two = await hold(identity, journal);
    await released;
    await two.writer.write([{ type: "turn_touched", turn: "t" }]);
    expect(two.writer).not.toBe(one.writer);
    await two.release();
  });

  it("rejects with JOURNAL_IN_USE while another application owns the journal, and succeeds later", async () => {
    const { hold } = setUp();
    const [journal, identity] = [memoryJournal(), {}];
    await journal.open(ELSEWHERE);
    const refused = await Promise.all([1, 2].map(() => code(hold(identity, journal))));
    expect(refused).toEqual(["JOURNAL_IN_USE", "JOURNAL_IN_USE"]);
    await journal.close();
    await (await hold(identity, journal)).release();
  });

  it("waits for the owner as long as waitForOwnerMs", async () => {
    const { clock, hold } = setUp();
    const [journal, identity] = [memoryJournal(), {}];
    await journal.open(ELSEWHERE);
    const patient = hold(identity, journal, { ...TERMS, waitForOwnerMs: 10_000 });
    await clock.advance(9_000);
    await journal.close();
    await clock.advance(1_000);
    await (await patient).release();
    await journal.open(ELSEWHERE);
    const refused = code(hold(identity, journal, { ...TERMS, waitForOwnerMs: 10_000 }));
    await clock.advance(11_000);
    expect(await refused).toBe("JOURNAL_IN_USE");
    expect(clock.now()).toBeGreaterThanOrEqual(20_000);
  });

  it("does not wait when the journal is unavailable for another reason", async () => {
    const { hold } = setUp();
    const details = { reason: "foreign" as const };
    const open = (): Promise<void> => Promise.reject(new CastellanError("JOURNAL_UNAVAILABLE", "foreign", { details }));
    const journal: Journal = Object.assign(memoryJournal(), { open });
    expect(await code(hold({}, journal, { ...TERMS, waitForOwnerMs: 10_000 }))).toBe("JOURNAL_UNAVAILABLE");
  });

  it("tells the writer once another application owns the journal", async () => {
    const { hold } = setUp();
    const { promise: lost, resolve } = Promise.withResolvers<CastellanError>();
    const held = await hold({}, Object.assign(memoryJournal(), { lost }));
    const error = new CastellanError("NOT_OWNER", "another has it");
    resolve(error);
    expect(await held.writer.lost).toBe(error);
    expect(await code(held.writer.write([{ type: "turn_touched", turn: "t" }]))).toBe("NOT_OWNER");
    await held.release();
  });

  it("ignores a journal whose lost promise rejects", async () => {
    const { hold } = setUp();
    const lost = Promise.reject(new Error("no idea"));
    const held = await hold({}, Object.assign(memoryJournal(), { lost }));
    await held.writer.write([{ type: "turn_touched", turn: "t" }]);
    await held.release();
  });

  it("releases with a warning a journal that fails to close, and can reopen it", async () => {
    const { clock, hold } = setUp();
    const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    const [identity, journal] = [{}, memoryJournal()];
    const held = await hold(
      identity,
      Object.assign(memoryJournal(), { close: () => Promise.reject(new Error("stuck")) }),
    );
    const [, again] = await Promise.all([held.release(), hold(identity, journal)]);
    expect(warned).toHaveBeenCalledExactlyOnceWith("The journal memory could not be closed: stuck", {
      type: "CastellanWarning",
      code: "JOURNAL_UNAVAILABLE",
    });
    expect(again.journal).toBe(journal);
    await again.release();
    await settle();
    expect(clock.timers).toBe(0);
  });

  it("prunes old turns and events at once and every ten minutes until it is closed, also after a failure", async () => {
    const { clock, hold } = setUp();
    const pruned: Retention[] = [];
    const prune = async (retention: Retention): Promise<number> => {
      pruned.push(retention);
      if (pruned.length === 2) throw new Error("not now");
      return 0;
    };
    const held = await hold({}, Object.assign(memoryJournal(), { prune }));
    await clock.advance(20 * 60_000);
    const expected = [-1_000, 599_000, 1_199_000].map((since) => ({
      endedSince: since,
      turnsPerSession: 7,
      events: { since, perSession: 8, bytesPerSession: 9 },
    }));
    expect(pruned).toEqual(expected);
    await held.release();
    await settle();
    expect(clock.timers).toBe(0);
  });

  it("does not prune by a clock that jumped forward until the clock has run evenly for ten minutes", async () => {
    const clock = new SetClock();
    const { hold } = setUp(clock);
    const since: number[] = [];
    const prune = async ({ endedSince }: Retention): Promise<number> => since.push(endedSince);
    const held = await hold({}, Object.assign(memoryJournal(), { prune }));
    const year = 365 * 86_400_000;
    clock.set(year);
    await clock.advance(10 * 60_000);
    expect(since).toEqual([-1_000]);
    clock.set(-year);
    await clock.advance(10 * 60_000);
    expect(since).toEqual([-1_000, 1_199_000]);
    clock.set(year);
    await clock.advance(20 * 60_000);
    expect(since).toEqual([-1_000, 1_199_000, year + 2_399_000]);
    await held.release();
  });
});
