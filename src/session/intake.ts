import type { Clock } from "../clock.ts";
import { CastellanError } from "../errors.ts";
import type { TurnEntry } from "../journal/turn-entry.ts";
import { KeptTurns } from "./kept-turns.ts";
import type { Mailbox } from "./mailbox.ts";
import type { SessionJournal } from "./session-journal.ts";
import type { SessionSettings } from "./session-settings.ts";
import { endOf } from "./turn-end.ts";
import { keyedTurnId } from "./turn-id.ts";
import type { TurnSettings } from "./turn-options.ts";
import { TurnRecord, type TurnRequest } from "./turn-record.ts";
import { cancelled, type TurnWatches } from "./turn-watches.ts";
import { invalidOptions } from "./validation.ts";

/** What the intake asks of its dispatcher. */
export interface IntakeEvents {
  /** Whether the process would take a turn at once. */
  free(): boolean;
  /** Whether a turn runs. */
  busy(): boolean;
  /** The next turn may be ready to begin. */
  ready(): void;
  /** Stops the turn that runs, if one does, because another one takes its place. */
  displace(rollback: boolean): void;
}

/**
 * Takes in the turns of a session: those that are asked for, each of which is in the journal before it may begin, and those
 * that were accepted before the application was restarted.
 */
export class Intake {
  readonly #who: string;
  #settings: SessionSettings;
  readonly #journal: SessionJournal;
  readonly #mailbox: Mailbox;
  readonly #watches: TurnWatches;
  readonly #kept: KeptTurns;
  readonly #deps: { readonly clock: Clock; readonly newId: () => string };
  readonly #events: IntakeEvents;
  /** Resolves when the turns that the journal has are here; until then nothing can be told apart from them. */
  readonly #restored: PromiseWithResolvers<void> = Promise.withResolvers();

  constructor(
    who: string,
    settings: SessionSettings,
    journal: SessionJournal,
    mailbox: Mailbox,
    watches: TurnWatches,
    deps: { readonly clock: Clock; readonly newId: () => string },
    events: IntakeEvents,
  ) {
    this.#who = who;
    this.#settings = settings;
    this.#journal = journal;
    this.#mailbox = mailbox;
    this.#watches = watches;
    this.#kept = new KeptTurns(deps.clock);
    this.#deps = deps;
    this.#events = events;
  }

  /** Goes on with changed settings. */
  reconfigure(settings: SessionSettings): void {
    this.#settings = settings;
  }

  /**
   * Accepts a turn. `durable` says whether somebody will come back for it.
   *
   * @throws CastellanError `SESSION_BUSY`, `MAILBOX_FULL`, `TURN_CANCELLED`, `INVALID_OPTIONS` if its key is another turn's
   */
  accept(prompt: string, settings: TurnSettings, durable: boolean): TurnRecord {
    const { whenBusy, signal, idempotencyKey } = settings;
    const id = idempotencyKey === undefined ? this.#deps.newId() : keyedTurnId(this.#settings.key, idempotencyKey);
    const present = this.#kept.find(id);
    if (present !== undefined) return this.#same(present, prompt);
    if (whenBusy === "reject" && (this.#events.busy() || this.#mailbox.length > 0)) {
      throw new CastellanError(
        "SESSION_BUSY",
        `${this.#who} is busy; ask again later, or with \`whenBusy: "enqueue"\`.`,
      );
    }
    const takesOver = whenBusy === "interrupt" || whenBusy === "rollback";
    if (this.#mailbox.full(this.#events.free() ? 1 : 0)) {
      const limit = this.#mailbox.limit;
      const message = `${this.#who} has ${limit} turns waiting, which is its \`mailboxLimit\`; try again later.`;
      throw new CastellanError("MAILBOX_FULL", message, { details: { limit } });
    }
    const record = this.#record(id, prompt, { ...settings, durable, acceptedAt: this.#deps.clock.now() });
    if (signal?.aborted) throw cancelled(this.#who, record, signal.reason);
    if (takesOver) this.#mailbox.putFirst(record);
    else this.#mailbox.push(record);
    this.#kept.add(record);
    this.#watches.begin(record, settings);
    void this.#admit(record, settings);
    return record;
  }

  /**
   * Takes back a turn that was accepted before the application was restarted. One that was running waits again, or ends with
   * `cut`.
   */
  restore(entry: TurnEntry, cut: CastellanError | undefined): void {
    const { id, prompt, position, durable, timeoutMs, acceptedAt, attempts } = entry;
    const { output, queueTimeoutMs: usual } = this.#settings;
    const { queueTimeoutMs = usual } = entry;
    // Somebody may have asked for it by its key before it was here.
    const present = this.#kept.find(id);
    const request = { output, position, durable, timeoutMs, queueTimeoutMs, acceptedAt, attempts };
    const record = present ?? this.#record(id, prompt, request);
    if (present === undefined) this.#kept.add(record);
    else this.#mailbox.remove(record);
    record.position = position;
    record.enqueued();
    this.#mailbox.restore(record);
    if (cut !== undefined) {
      this.#mailbox.remove(record);
      record.started();
      record.fail("interrupted", cut);
      return;
    }
    if (entry.state === "running") this.#journal.requeued(record);
    if (present !== undefined) return;
    const leftMs = timeoutMs === undefined ? undefined : Math.max(0, acceptedAt + timeoutMs - this.#deps.clock.now());
    this.#watches.begin(record, { timeoutMs: leftMs, queueTimeoutMs, signal: undefined });
  }

  /** The turns that the journal has are here by now, or `error` says why not. */
  restored(error?: CastellanError): void {
    if (error === undefined) this.#restored.resolve();
    else this.#restored.reject(error);
    this.#restored.promise.catch(() => {});
    this.#events.ready();
  }

  /** A turn that the journal has, and that had ended before it was asked for. */
  recall(entry: TurnEntry): TurnRecord | undefined {
    if (entry.state === "queued" || entry.state === "running") return undefined;
    const record = this.#record(entry.id, entry.prompt, { attempts: entry.attempts });
    record.recall(entry.state, endOf(entry.outcome, this.#who, this.#settings.output));
    return record;
  }

  /** A turn that waits, runs or has ended not long ago. */
  find(id: string): TurnRecord | undefined {
    return this.#kept.find(id);
  }

  /** Sees to it that a turn is in the journal before it may begin. */
  async #admit(record: TurnRecord, { whenBusy, idempotencyKey }: TurnSettings): Promise<void> {
    try {
      await this.#restored.promise;
      if (record.state !== "accepted") return;
      if (idempotencyKey !== undefined && (await this.#recalled(record))) return;
      await this.#journal.accept(record);
      record.enqueued();
      const takesOver = whenBusy === "interrupt" || whenBusy === "rollback";
      if (takesOver && !record.ended) this.#events.displace(whenBusy === "rollback");
    } catch (thrown) {
      this.#refuse(record, thrown);
    }
    this.#events.ready();
  }

  /** Whether a turn with the key of this one has ended before; then it is that one. */
  async #recalled(record: TurnRecord): Promise<boolean> {
    const entry = await this.#journal.find(record.id);
    if (entry === undefined || record.ended) return record.ended;
    this.#same(entry, record.prompt);
    if (entry.state === "queued" || entry.state === "running") return false;
    this.#mailbox.remove(record);
    record.recall(entry.state, endOf(entry.outcome, this.#who, record.output));
    return true;
  }

  /** A turn that could not be accepted. Its key is free. */
  #refuse(record: TurnRecord, thrown: unknown): void {
    const error = CastellanError.is(thrown)
      ? thrown
      : new CastellanError("JOURNAL_UNAVAILABLE", String(thrown), {
          details: { reason: "failed" },
          cause: thrown,
        });
    this.#mailbox.remove(record);
    this.#kept.forget(record);
    // It may have been written all the same.
    if (CastellanError.is(error, "JOURNAL_UNAVAILABLE") && error.details.applied !== false) {
      this.#journal.withdraw(record);
    }
    record.leave(error);
  }

  /** The turn with the same key. @throws CastellanError `INVALID_OPTIONS` if it asks something else */
  #same<Asked extends { readonly id: string; readonly prompt: string }>(turn: Asked, prompt: string): Asked {
    if (turn.prompt === prompt) return turn;
    const message = "is the key of another turn, with another prompt; a key stands for one turn";
    throw invalidOptions(`turn of ${this.#who}`, [{ field: "idempotencyKey", message }]);
  }

  #record(id: string, prompt: string, request: TurnRequest): TurnRecord {
    return new TurnRecord(id, prompt, this.#who, {
      ...request,
      onEnd: (record, as, end) => this.#journal.ended(record, as, end),
    });
  }
}
