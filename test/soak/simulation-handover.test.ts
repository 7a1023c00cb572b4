import { describe, expect, test, vi } from "vitest";
import { handoverPlanOf } from "../journal/handover/handover-plan.ts";
import { type HandoverLaw, handoverReport, handoverViolations } from "../journal/handover/handover-verdict.ts";

/*
 * Runs some schedules. For thousands:
 * SIMULATION_SCHEDULES=50000 npx vitest run --config vitest.soak.config.ts test/soak/simulation-handover.test.ts
 */
const FIRST = Number(process.env["SIMULATION_SEED"] ?? 1);
const COUNT = Number(process.env["SIMULATION_SCHEDULES"] ?? 60);

/** The number of schedules in one test, and the number within which a mutant must be found. */
const AT_ONCE = 500;
const MOST_MUTANT_SCHEDULES = 60;

const SRC = "../../src/journal";

const groups = Array.from({ length: Math.ceil(COUNT / AT_ONCE) }, (_, group) => {
  const from = FIRST + group * AT_ONCE;
  return { from, to: Math.min(from + AT_ONCE, FIRST + COUNT) - 1 };
});

test.each(groups)(
  "Handover: violates no law with the seeds $from to $to",
  { timeout: 600_000 },
  async ({ from, to }) => {
    for (let seed = from; seed <= to; seed++) {
      const { simulation, violations } = await handoverViolations(handoverPlanOf(seed));
      if (violations.length > 0) expect.fail(handoverReport(simulation, violations));
    }
  },
);

test("HandoverSimulation: repeats a run exactly by its seed", async () => {
  const run = async (): Promise<readonly string[]> => (await handoverViolations(handoverPlanOf(7))).simulation.trace;
  const [first, second] = [await run(), await run()];
  expect(first.length).toBeGreaterThan(5);
  expect(second).toEqual(first);
});

describe("the laws of the hand-over", () => {
  test("detect that the next owner does not wait for sessions that are lent", async () => {
    vi.doMock(`${SRC}/handover/loans.ts`, async (original) => {
      const { Loans } = await original<typeof import("../../src/journal/handover/loans.ts")>();
      return {
        Loans: class extends Loans {
          override async over(): Promise<void> {}
        },
      };
    });
    expect(await findsMutant(1, "overlap")).toBe(true);
  });

  test("detect that the next owner does not look for those who still have sessions", async () => {
    vi.doMock("../journal/handover/simulated-sockets.ts", async (original) => {
      const { SimulatedSockets } = await original<typeof import("../journal/handover/simulated-sockets.ts")>();
      return {
        SimulatedSockets: class extends SimulatedSockets {
          override of(...process: Parameters<InstanceType<typeof SimulatedSockets>["of"]>) {
            return { ...super.of(...process), others: () => [] };
          }
        },
      };
    });
    expect(await findsMutant(1050, "overlap")).toBe(true);
  });

  test("detect that a batch is written again that the other application had written before it died", async () => {
    vi.doMock(`${SRC}/handover/applied.ts`, () => ({ wasApplied: async () => false }));
    expect(await findsMutant(1, "cost")).toBe(true);
  });

  test("detect that a batch counts as written that was not", async () => {
    vi.doMock(`${SRC}/handover/applied.ts`, () => ({ wasApplied: async () => true }));
    expect(await findsMutant(170, "lost", "told", "progress")).toBe(true);
  });

  test("detect that an owner closes the journal during a write", async () => {
    vi.doMock(`${SRC}/handover/movable-journal.ts`, async (original) => {
      const { MovableJournal } = await original<typeof import("../../src/journal/handover/movable-journal.ts")>();
      return {
        MovableJournal: class extends MovableJournal {
          readonly #closed: () => Promise<void>;

          constructor(own: ConstructorParameters<typeof MovableJournal>[0]) {
            super(own);
            this.#closed = () => own.close();
          }

          override async leave(): Promise<void> {
            this.depart();
            await this.#closed();
          }
        },
      };
    });
    vi.doMock(`${SRC}/journal-writer.ts`, async (original) => {
      const { JournalWriter } = await original<typeof import("../../src/journal/journal-writer.ts")>();
      return {
        JournalWriter: class extends JournalWriter {
          override async settled(): Promise<void> {}
        },
      };
    });
    expect(await findsMutant(180, "owner")).toBe(true);
  });

  test("detect that callers of an earlier process are not told where the sessions are", async () => {
    vi.doMock(`${SRC}/handover/lending.ts`, async (original) => {
      const lending = await original<typeof import("../../src/journal/handover/lending.ts")>();
      return {
        ...lending,
        Lending: class extends lending.Lending {
          override get any(): boolean {
            return false;
          }
        },
      };
    });
    expect(await findsMutant(140, "progress")).toBe(true);
  });

  test("detect that a process does not notice the death of the next one", async () => {
    vi.doMock(`${SRC}/handover/owner-state.ts`, async (original) => {
      const { nextOwnerStep } = await original<typeof import("../../src/journal/handover/owner-state.ts")>();
      type Step = typeof nextOwnerStep;
      const mutant: Step = (state, event) =>
        event.type === "gone" && state.name === "lending" ? { state, actions: [] } : nextOwnerStep(state, event);
      return { nextOwnerStep: mutant };
    });
    expect(await findsMutant(1, "progress")).toBe(true);
  });
});

/**
 * Whether the mutant that was mocked violates one of these laws in one of some schedules.
 *
 * @param from the first of them; earlier ones do not show the mutant
 */
async function findsMutant(from: number, ...laws: readonly HandoverLaw[]): Promise<boolean> {
  vi.resetModules();
  try {
    const mutant: typeof import("../journal/handover/handover-verdict.ts") = await import(
      "../journal/handover/handover-verdict.ts"
    );
    for (let seed = from; seed < from + MOST_MUTANT_SCHEDULES; seed++) {
      const { violations } = await mutant.handoverViolations(handoverPlanOf(seed));
      if (violations.some(({ law }) => laws.includes(law))) return true;
    }
    return false;
  } finally {
    for (const path of [...MOCKED, "../journal/handover/simulated-sockets.ts"]) vi.doUnmock(path);
    vi.resetModules();
  }
}

const MOCKED: readonly string[] = [
  ...["handover/loans", "handover/applied", "handover/movable-journal", "handover/lending", "handover/owner-state"],
  "journal-writer",
].map((file) => `${SRC}/${file}.ts`);
