import { pause } from "../../src/clock.ts";
import type { CallMethod } from "../../src/cluster/protocol/call-methods.ts";
import type { TurnAsked } from "../../src/cluster/protocol/frames.ts";
import type { HostedSession } from "../../src/cluster/session-host.ts";
import { CastellanError, isStorageFault } from "../../src/errors.ts";
import { NOTHING_SPENT } from "../../src/journal/model/spending.ts";
import type { TurnEntry } from "../../src/journal/model/turn-entry.ts";
import { isRunAgain } from "../../src/session/conversation/settlement.ts";
import type { SessionEvent } from "../../src/session/record/session-event-types.ts";
import { shownIn } from "../../src/session/streams/kept-shown.ts";
import type { Reply } from "../../src/session/streams/reply.ts";
import { endOf, outcomeOf } from "../../src/session/streams/turn-end.ts";
import { TurnRecord } from "../../src/session/streams/turn-record.ts";
import type { TurnSource } from "../../src/session/streams/turn-source.ts";
import { keyedTurnId } from "../../src/session/turns/turn-id.ts";
import { assistantMessage } from "../../src/testing/messages.ts";
import type { SeenActivation, SimulatedActivations } from "./simulated-activations.ts";
import type { Chance } from "./simulated-chance.ts";
import type { SimulatedEnginePort } from "./simulated-engine-port.ts";
import type { SimulatedChange } from "./simulated-journal.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";
import { SimulatedTurn } from "./simulated-turn.ts";
import { MissingWrites, type NumberedChange, type SimulatedWrites, type Writer } from "./simulated-writes.ts";

/** Where a simulated session runs, and its times. */
export interface SessionPlace {
  readonly boot: string;
  readonly machine: SimulatedMachine;
  readonly port: SimulatedEnginePort;
  readonly chance: Chance;
  readonly activations: SimulatedActivations;
  /** The longest times of a step of a turn, and of the end of a process, in milliseconds. */
  readonly stepMs: number;
  readonly endMs: number;
  /** The probability that the process crashes in a step. */
  readonly crashes: number;
  epochOf(key: string): number | undefined;
  /** Counts the writes for a session under one epoch. */
  nextNumber(key: string, epoch: number): number;
  lost(cause: CastellanError): void;
  /** The confirmed writes of the run. */
  readonly writes: SimulatedWrites;
  /** Whether it writes again what the engine lacks; only a mutant does not. */
  readonly remembers: boolean;
}

/** Counts turn records. Each record is another life of its turn. */
let lives = 0;

interface Kept {
  readonly record: TurnRecord;
  readonly shown: SimulatedTurn;
}

interface Current {
  readonly record: TurnRecord;
  readonly over: PromiseWithResolvers<void>;
}

/** How long a turn waits for the journal to accept it, in milliseconds. */
const ACCEPT_MS = 5_000;

/** The delay before a write is retried, in milliseconds. */
const AGAIN_MS = 50;

/** The error code of a cut turn. */
const CUT = "TURN_INTERRUPTED";

/** A model of the sessions in `src/session`: journal, turns and the lifetime of the process. */
export class SimulatedSession implements HostedSession {
  readonly #key: string;
  readonly #place: SessionPlace;
  readonly #kept = new Map<string, Kept>();
  #mailbox: TurnRecord[] = [];
  readonly #restored = Promise.withResolvers<void>();
  /** The pending writes, one after the other. */
  #line: Promise<void> = Promise.resolve();
  #current: Current | undefined;
  #beginning = false;
  #activation: SeenActivation | undefined;
  /** Set when no further turn may begin. */
  #leaving = false;
  /** Aborted when nothing may happen any more. */
  readonly #over = new AbortController();

  constructor(key: string, place: SessionPlace) {
    this.#key = key;
    this.#place = place;
    this.#restored.promise.catch(() => {});
    void this.#restore();
  }

  ask({ prompt, idempotencyKey, timeoutMs }: TurnAsked): TurnSource {
    const id = keyedTurnId(this.#key, idempotencyKey);
    const present = this.#kept.get(id);
    if (present !== undefined) return present.shown;
    if (this.#leaving) throw new CastellanError("SESSION_STOPPED", `${this.#key} has stopped.`);
    const { record, shown } = this.#keep(id, prompt, timeoutMs, this.#place.machine.now(), 0);
    this.#mailbox.push(record);
    void this.#admit(record);
    return shown;
  }

  async turn(id: string): Promise<TurnSource | undefined> {
    await this.#restored.promise;
    const present = this.#kept.get(id);
    if (present !== undefined) return present.shown;
    const entry = await this.#place.port.find(id);
    if (entry === undefined) return undefined;
    const record = new TurnRecord(id, entry.prompt, this.#key, { attempts: entry.attempts });
    if (recall(record, entry)) return record;
    throw new CastellanError("NOT_OWNER", `${this.#key} has another owner, which has accepted ${id}.`);
  }

  async cancel(id: string): Promise<void> {
    await this.#restored.promise;
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    const { record, shown } = kept;
    // Before the journal has answered, the turn may already have ended.
    await record.accepted.catch(() => {});
    this.#fail(record, record.state === "running" ? "interrupted" : "cancelled", "it was cancelled");
    await shown.written;
  }

  async call(_method: CallMethod, _args: readonly unknown[]): Promise<unknown> {
    return undefined;
  }

  async lastEvent(): Promise<number> {
    return 0;
  }

  async *events(): AsyncGenerator<SessionEvent, void, undefined> {}

  /** See `SessionHost.release`. */
  async release(deadlineMs: number): Promise<void> {
    this.#leaving = true;
    const current = this.#current;
    if (current !== undefined) {
      await Promise.race([current.over.promise, pause(this.#place.machine, deadlineMs, { signal: this.#over.signal })]);
      if (this.#current === current) this.#crash(current);
    }
    const left = new CastellanError("SUPERVISOR_STOPPED", `${this.#key} goes on elsewhere.`);
    for (const { record } of this.#kept.values()) record.leave(left);
    await this.#line;
    const activation = this.#activation;
    if (activation !== undefined) {
      await this.#pause(this.#place.chance.between(1, this.#place.endMs));
      this.#place.activations.ended(activation);
    }
    this.#over.abort();
    this.#restored.reject(left);
  }

  /** See `SessionHost.kill`. */
  async kill(cause: CastellanError): Promise<void> {
    this.#leaving = true;
    const { machine, chance, endMs, activations } = this.#place;
    this.#over.abort();
    this.#restored.reject(cause);
    for (const { record } of this.#kept.values()) record.leave(cause);
    const activation = this.#activation;
    if (activation === undefined) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    machine.schedule(chance.between(1, endMs), () => {
      activations.ended(activation);
      resolve();
    });
    await promise;
  }

  get load(): number {
    return this.#activation === undefined ? 0 : 1;
  }

  async #restore(): Promise<void> {
    const open = await this.#until(() => this.#place.port.openTurns(this.#key)).catch(() => undefined);
    if (open === undefined) return;
    const early = this.#mailbox;
    this.#mailbox = [];
    for (const { entry, said } of open) this.#take(entry, said);
    this.#mailbox.push(...early.filter((record) => !record.ended && !this.#mailbox.includes(record)));
    this.#restored.resolve();
    this.#next();
  }

  #take(entry: TurnEntry, said: boolean): void {
    const { id, prompt, timeoutMs, acceptedAt, attempts, state } = entry;
    const accepted = { type: "accepted", turn: id, prompt, acceptedAt, timeoutMs, before: true } as const;
    void this.#write(accepted).catch(() => {});
    const known = this.#kept.get(id)?.record;
    // A record that ended before the journal was asked has ended only here.
    const early = known?.ended === true ? undefined : known;
    const left = timeoutMs === undefined ? undefined : Math.max(0, acceptedAt + timeoutMs - this.#place.machine.now());
    const record = early ?? this.#keep(id, prompt, left, acceptedAt, attempts).record;
    if (early !== undefined) early.adopt({ ...entry, queueTimeoutMs: early.queueTimeoutMs, since: early.since });
    record.submitted = true;
    record.enqueued();
    const touched = entry.touched || said;
    if (state === "running" && !isRunAgain({ touched, attempts }, "retry_if_untouched")) {
      record.started();
      this.#fail(record, "interrupted", "it was cut by the end of its node");
      return;
    }
    if (state === "running") void this.#write({ type: "requeued", turn: id }).catch(() => {});
    this.#mailbox.push(record);
  }

  async #admit(record: TurnRecord): Promise<void> {
    const { id, prompt, acceptedAt, timeoutMs } = record;
    try {
      await this.#restored.promise;
      if (record.state !== "accepted") return;
      const entry = await this.#until(() => this.#place.port.find(id), ACCEPT_MS);
      if (record.state !== "accepted") return;
      if (entry !== undefined && recall(record, entry)) {
        this.#forget(record);
        return this.#next();
      }
      record.submitted = true;
      await this.#write({ type: "accepted", turn: id, prompt, acceptedAt, timeoutMs }, ACCEPT_MS);
      record.enqueued();
    } catch (thrown) {
      this.#forget(record);
      if (this.#kept.get(id)?.record === record) this.#kept.delete(id);
      if (!CastellanError.is(thrown)) throw thrown;
      if (record.submitted && isStorageFault(thrown)) {
        void this.#write({ type: "withdrawn", turn: id }).catch(() => {});
      }
      record.leave(thrown);
    }
    this.#next();
  }

  /** Begins the next turn unless another one runs. */
  #next(): void {
    const [head] = this.#mailbox;
    if (this.#leaving || this.#beginning || this.#current !== undefined || head?.state !== "queued") return;
    this.#beginning = true;
    void this.#begin(head)
      .catch((error: unknown) => {
        if (CastellanError.is(error, "NOT_OWNER")) this.#leaving = true;
      })
      .finally(() => {
        this.#beginning = false;
        this.#next();
      });
  }

  async #begin(record: TurnRecord): Promise<void> {
    const { activations, machine, boot, chance, stepMs } = this.#place;
    if (this.#activation === undefined) {
      const epoch = this.#place.epochOf(this.#key);
      if (epoch === undefined) return;
      this.#activation = activations.start(this.#key, boot, epoch, machine);
      await this.#pause(chance.between(1, stepMs));
    }
    if (this.#leaving || record.state !== "queued") return;
    await this.#write({ type: "begun", turn: record.id, attempt: record.attempts + 1 });
    const activation = this.#activation;
    if (record.state !== "queued" || activation === undefined) return;
    this.#mailbox = this.#mailbox.filter((other) => other !== record);
    record.started();
    activations.prompted(activation, record.id);
    const current = { record, over: Promise.withResolvers<void>() };
    this.#current = current;
    void this.#run(current).catch(() => {});
  }

  async #run(current: Current): Promise<void> {
    const { record } = current;
    const { chance, stepMs, crashes, activations, boot } = this.#place;
    const { id, attempts: attempt } = record;
    const goesOn = (): boolean => this.#current === current && !record.ended;
    const steps = 1 + chance.below(5);
    await this.#pause(chance.between(1, stepMs));
    for (let step = 1; step <= steps && goesOn(); step++) {
      if (chance.happens(crashes)) return this.#crash(current);
      if (step === 1) await this.#write({ type: "touched", turn: id });
      if (goesOn()) await this.#write({ type: "said", turn: id, attempt, text: `${step}` });
      if (goesOn()) record.append(assistantMessage(`${attempt}:${step}`));
      await this.#pause(chance.between(1, stepMs));
    }
    if (goesOn()) {
      activations.finishedTurn(id);
      record.complete(replyOf(id, `${record.prompt} by ${boot} in ${attempt}, ${steps} steps`));
    }
    await record.recorded;
    if (this.#current === current) this.#current = undefined;
    current.over.resolve();
    this.#next();
  }

  /** Kills the process. Its turn is retried or interrupted. */
  #crash(current: Current): void {
    const { record } = current;
    if (this.#activation !== undefined) this.#place.activations.ended(this.#activation);
    this.#activation = undefined;
    this.#current = undefined;
    if (!record.ended) {
      const { touched } = record.progress;
      if (isRunAgain({ touched, attempts: record.attempts }, "retry_if_untouched")) {
        record.requeued();
        this.#mailbox.unshift(record);
        void this.#write({ type: "requeued", turn: record.id }).catch(() => {});
      } else this.#fail(record, "interrupted", "its process has crashed");
    }
    current.over.resolve();
    this.#next();
  }

  #fail(record: TurnRecord, as: "interrupted" | "cancelled" | "timed_out", why: string): void {
    this.#forget(record);
    const message = `turn ${record.id}: ${why}.`;
    const details = { turnId: record.id, partialText: "", toolUses: [] };
    if (as === "interrupted") record.fail(as, new CastellanError(CUT, message, { details }));
    else if (as === "cancelled") record.fail(as, new CastellanError("TURN_CANCELLED", message, { details }));
    else record.fail(as, new CastellanError("TURN_TIMEOUT", message, { details: { ...details, timeoutMs: 0 } }));
    this.#next();
  }

  #forget(record: TurnRecord): void {
    this.#mailbox = this.#mailbox.filter((other) => other !== record);
  }

  #keep(id: string, prompt: string, timeoutMs: number | undefined, acceptedAt: number, attempts: number): Kept {
    const record: TurnRecord = new TurnRecord(id, prompt, this.#key, {
      life: `life ${++lives}`,
      timeoutMs,
      acceptedAt,
      attempts,
      onEnd: async (_, state, end) => {
        const written = this.#write({ type: "ended", turn: id, state, outcome: outcomeOf(end, record.known) });
        shown.ending(written);
        await written.catch(never);
      },
    });
    const shown = new SimulatedTurn(record);
    const kept = { record, shown };
    this.#kept.set(id, kept);
    if (timeoutMs !== undefined) {
      const late = (): void => this.#fail(record, "timed_out", "it took too long");
      record.watch(this.#place.machine.schedule(timeoutMs, late));
    }
    return kept;
  }

  /** Writes after all earlier writes. @throws CastellanError `NOT_OWNER`, or any other error after `patienceMs` */
  #write(change: SimulatedChange, patienceMs = Number.POSITIVE_INFINITY): Promise<void> {
    const written = this.#line.then(() => {
      const epoch = this.#place.epochOf(this.#key);
      if (epoch === undefined) throw new CastellanError("NOT_OWNER", `${this.#key} is not owned here.`);
      const number = this.#place.nextNumber(this.#key, epoch);
      const { boot } = this.#place;
      const written = this.#until(() => this.#send({ boot, key: this.#key, epoch }, { number, change }), patienceMs);
      return written.then(() => this.#place.writes.add(this.#key, epoch, { number, change }));
    });
    this.#line = written.catch((error: unknown) => {
      if (CastellanError.is(error, "NOT_OWNER") && !this.#over.signal.aborted) this.#place.lost(error);
    });
    return written;
  }

  /** Writes a change, after what the engine lacks since it failed over. */
  async #send(writer: Writer, change: NumberedChange): Promise<void> {
    const { port, writes, remembers } = this.#place;
    const { boot, key, epoch } = writer;
    try {
      await port.write(boot, key, epoch, change.number, change.change);
    } catch (error) {
      if (!(error instanceof MissingWrites)) throw error;
      await port.writeAgain(writer, [...(remembers ? writes.of(key, epoch) : []), change], true);
    }
  }

  /** Writes again what the engine lacks, and records the claim. @throws CastellanError `NOT_OWNER` */
  async catchUp(): Promise<void> {
    const { boot, port, writes, remembers } = this.#place;
    const epoch = this.#place.epochOf(this.#key);
    if (epoch === undefined || this.#over.signal.aborted) return;
    await port.writeAgain({ boot, key: this.#key, epoch }, remembers ? writes.of(this.#key, epoch) : [], true);
  }

  /** Retries until success, or until the session is over. */
  async #until<Value>(what: () => Promise<Value>, patienceMs = Number.POSITIVE_INFINITY): Promise<Value> {
    const { machine } = this.#place;
    const until = machine.monotonic() + patienceMs;
    for (;;) {
      if (this.#over.signal.aborted) throw new CastellanError("NOT_OWNER", `${this.#key} is over here.`);
      try {
        return await what();
      } catch (error) {
        if (!isStorageFault(error) || machine.monotonic() >= until) throw error;
        await pause(machine, AGAIN_MS, { signal: this.#over.signal });
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await pause(this.#place.machine, ms, { signal: this.#over.signal });
    if (this.#over.signal.aborted) throw new CastellanError("NOT_OWNER", `${this.#key} is over here.`);
  }
}

/** Returns a promise that never settles. A result that could not be written is the next owner's to report. */
function never(): Promise<void> {
  return new Promise(() => {});
}

/** Recalls the result of a turn that has ended. Returns whether it has. */
function recall(record: TurnRecord, entry: TurnEntry): boolean {
  if (entry.state === "queued" || entry.state === "running") return false;
  const end = endOf(entry.outcome, record.id, undefined);
  record.recall(entry.state, end, shownIn(entry.outcome, end));
  return true;
}

function replyOf(turnId: string, text: string): Reply {
  return { text, ...NOTHING_SPENT, models: [], sessionId: "simulated", turnId, stopReason: "end_turn", durationMs: 0 };
}
