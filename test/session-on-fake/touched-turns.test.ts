import { describe, expect, it } from "vitest";
import type { Session } from "../../src/session/session.ts";
import { type FakeTurn, fakeClaude } from "../../src/testing/index.ts";
import { SimulatedClock } from "../supervision/simulated-clock.ts";
import { run } from "./application.ts";
import { CrashingJournal } from "./crashing-journal.ts";
import { ticks, unique, within } from "./scene.ts";

/* When the journal learns that Claude has begun to answer. */

/** Asks for an answer of two parts. Returns the types of the changes, one list per batch, before the second and in all. */
async function written(
  during: (session: Session, id: string, clock: SimulatedClock, turn: FakeTurn) => Promise<unknown>,
  before: (session: Session) => void = () => {},
) {
  const [clock, crashing, name] = [new SimulatedClock(), new CrashingJournal(), unique()];
  const [shown, seen] = [Promise.withResolvers<FakeTurn>(), Promise.withResolvers<void>()];
  const fake = fakeClaude(async (turn) => {
    if (turn.prompt === "first") return await turn.text("Yes.");
    await turn.partial("It is ");
    shown.resolve(turn);
    await seen.promise;
    await turn.text("done.");
  });
  const supervisor = await within(clock, run({ fake, journal: crashing.journal, clock }, [{ name }]));
  const session = supervisor.session(name);
  // The first turn of a session also writes the session.
  await within(clock, session.query("first"));
  before(session);
  await ticks(20);
  const types = (): string[][] => crashing.taken.map(({ changes }) => changes.map(({ type }) => type));
  const start = crashing.taken.length;
  const id = await session.enqueue("Is it done?");
  const turn = await shown.promise;
  await ticks(20);
  await during(session, id, clock, turn);
  await ticks(20);
  const batches = types().slice(start);
  seen.resolve();
  await (await session.turn(id))?.result();
  const all = types().slice(start);
  await within(clock, supervisor.stop());
  expect(fake.errors).toEqual([]);
  return { batches, all };
}

const TOUCHED = expect.arrayContaining(["turn_touched"]);

describe("The mark of a turn that Claude has begun to answer", () => {
  it("needs no batch if nobody has seen the answer before its end", async () => {
    const { batches, all } = await written(async () => {});
    expect(batches).toEqual([["turn_accepted"]]);
    expect(all).toHaveLength(2);
    expect(all.flat()).not.toContain("turn_touched");
  });

  it("is written within 200 ms, together with the events of the turn", async () => {
    const { batches } = await written((_, _id, clock) => clock.advance(200));
    expect(batches).toEqual([["turn_accepted"], TOUCHED]);
    expect(batches[1]).toContain("event_appended");
  });

  it("is written at once for a reader of the turn", async () => {
    const { batches } = await written(async (session, id) => {
      const turn = await session.turn(id);
      for await (const text of turn?.text() ?? []) if (text !== "") break;
    });
    expect(batches).toEqual([["turn_accepted"], TOUCHED]);
  });

  it("is written at once for a reader of the session's events", async () => {
    const reading: Promise<void>[] = [];
    const { batches } = await written(
      async () => {},
      (session) => {
        const read = async (): Promise<void> => {
          for await (const _ of session.events()) {
          }
        };
        reading.push(read());
      },
    );
    await Promise.all(reading);
    expect(batches.flat()).toContain("turn_touched");
  });

  it("is written before a tool runs", async () => {
    const { batches } = await written(async (_, _id, _clock, turn) => {
      await turn.hook("PreToolUse", { tool_name: "Bash", tool_input: {}, tool_use_id: "t" });
    });
    expect(batches).toEqual([["turn_accepted"], TOUCHED]);
  });
});
