import type { Clock } from "../clock.ts";
import type { CastellanError } from "../errors.ts";
import type { Change } from "../journal/model/change.ts";
import type { JobEntry } from "../journal/model/job-entry.ts";
import { LiveDescription } from "../session/persistence/live-description.ts";
import { RecordReading } from "../session/persistence/record-reading.ts";
import { SessionJournal } from "../session/persistence/session-journal.ts";
import { heldPrompt, storedPrompt } from "../session/persistence/stored-prompt.ts";
import type { SupervisorJournal } from "../session/persistence/supervisor-journal.ts";
import { turnAccepted } from "../session/persistence/turn-events.ts";
import type { TurnReads } from "../session/streams/pending-turn.ts";
import { outcomeOf } from "../session/streams/turn-end.ts";
import { cancelledJob } from "./job-turn.ts";

interface RecordHost {
  readonly clock: Clock;
  readonly journal: SupervisorJournal;
}

/** The turns and events under the name of a pool itself: of jobs that were cancelled before a member took them. */
export class PoolRecord {
  readonly #key: string;
  readonly #host: RecordHost;
  #journal: SessionJournal | undefined;

  /** `key` is the canonical name of the pool. */
  constructor(key: string, host: RecordHost) {
    this.#key = key;
    this.#host = host;
  }

  /** Resolves once a cancelled job has become an ended turn. @throws CastellanError `JOURNAL_UNAVAILABLE` */
  async cancelled(job: JobEntry, error: CastellanError): Promise<void> {
    this.#journal ??= sessionJournal(this.#key, this.#host);
    const journal = this.#journal;
    await journal.opening.open();
    const { turn, prompt, changes } = cancelledJob(job);
    const { id, by, metadata } = turn;
    const held = heldPrompt(prompt);
    const ended: Change = {
      type: "turn_ended",
      turn: id,
      state: "cancelled",
      at: this.#host.clock.now(),
      outcome: outcomeOf({ error }),
    };
    const { code, message } = error;
    await journal.recordEvents(
      [...changes, ended],
      [
        turnAccepted({ id, promptKind: held.promptKind, by, metadata }, storedPrompt(held)),
        { type: "turn_ended", turnId: id, state: "cancelled", error: { code, message } },
      ],
    );
  }

  /** Begins again, because everything under the name of the pool is erased. */
  erased(): void {
    this.#journal?.seal();
    this.#journal = undefined;
  }
}

/** Returns what the journal has of an ended turn of this session. */
export function readsOf(session: string, host: RecordHost): TurnReads {
  const journal = sessionJournal(session, host);
  const reading = new RecordReading(journal, async () => {
    await journal.whenReadable();
    await journal.opening.open();
  });
  return {
    events: (options) => reading.events({ ...options, live: false }),
    content: ({ $content }) => reading.content($content),
  };
}

function sessionJournal(session: string, { clock, journal }: RecordHost): SessionJournal {
  const description = new LiveDescription({ settings: { sdk: {}, labels: {} } }, clock.now());
  return new SessionJournal(session, journal, clock, description);
}
