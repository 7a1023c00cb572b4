import type { Change } from "../../journal/model/change.ts";
import type { Journal } from "../../journal/model/journal.ts";
import { type JournalCases, OTHER, OWNER } from "./journal-case.ts";
import { CONTENT_CASES } from "./journal-content-cases.ts";
import { DELIVERY_CASES } from "./journal-delivery-cases.ts";
import { DESCRIPTION_CASES } from "./journal-description-cases.ts";
import { EVENT_CASES } from "./journal-event-cases.ts";
import { JOB_CASES } from "./journal-job-cases.ts";
import { SESSION_CASES } from "./journal-session-cases.ts";
import { STORAGE_CASES } from "./journal-storage-cases.ts";
import { TRANSCRIPT_CASES } from "./journal-transcript-cases.ts";
import { TURN_CASES } from "./journal-turn-cases.ts";
import { USAGE_CASES } from "./journal-usage-cases.ts";

/** One rule that every implementation follows. */
export interface ConformanceCase {
  readonly name: string;
  /** Rejects with the violation. */
  run(): Promise<void>;
}

const CASES: JournalCases = {
  ...STORAGE_CASES,
  ...SESSION_CASES,
  ...DESCRIPTION_CASES,
  ...TURN_CASES,
  ...USAGE_CASES,
  ...EVENT_CASES,
  ...CONTENT_CASES,
  ...TRANSCRIPT_CASES,
  ...JOB_CASES,
  ...DELIVERY_CASES,
};

/**
 * Returns the rules of the `Journal` interface as cases for any test runner.
 *
 * @param make makes an empty journal that has never been opened, a new one on each call. The cases open and close it.
 * @example
 * for (const { name, run } of journalConformance(() => new MyJournal())) it(name, run);
 */
export function journalConformance(make: () => Journal | Promise<Journal>): readonly ConformanceCase[] {
  return Object.entries(CASES).map(([name, check]) => ({
    name,
    run: async () => {
      const journal = await make();
      await journal.open(OWNER);
      let number = 0;
      const write = (...changes: Change[]): Promise<void> => {
        number += 1;
        return journal.write({ number, changes, durable: number % 2 === 0 });
      };
      const reopen = async (): Promise<void> => {
        await journal.close();
        await journal.open(OTHER);
        number = 0;
      };
      try {
        await check({ journal, write, reopen });
      } finally {
        await journal.close();
      }
    },
  }));
}
