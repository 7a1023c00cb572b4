import type { Activation, StartActivation } from "../claude/activation.ts";
import type { Fingerprint, Shape } from "../claude/fingerprint.ts";
import { ParkedHost, type ProcessHost } from "../claude/process-host.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Slot, SlotHolder } from "./capacity.ts";
import type { MemoryWatch } from "./memory-watch.ts";

/** The maximum age of a spare, in milliseconds. */
const MAX_AGE_MS = 10 * 60_000;

/** A spare has no work to finish. */
const STAGES = { inputMs: 500, termMs: 1_000 };

/** Why a spare was never used. */
export type SpareEnd = "evicted" | "expired" | "failed" | "closed";

export interface SpareDeps {
  readonly clock: Clock;
  /** Returns a new UUID. */
  readonly newId: () => string;
  readonly startActivation: StartActivation;
}

/** A Claude Code process that was started ahead, with a new conversation. It belongs to no session until a session claims it. */
export class Spare implements SlotHolder {
  readonly fingerprint: Fingerprint;
  /** The id of its conversation. */
  readonly conversationId: string;
  /** Spares give way before any idle session. */
  readonly idleSince: number = Number.NEGATIVE_INFINITY;
  readonly resumes = false;
  readonly ahead = true;
  /** Resolves when the spare has been claimed or is gone. */
  readonly left: Promise<SpareEnd | "claimed">;
  readonly #left: PromiseWithResolvers<SpareEnd | "claimed"> = Promise.withResolvers();
  readonly #host = new ParkedHost();
  readonly #cancel = new AbortController();
  readonly #deps: SpareDeps;
  readonly #memory: MemoryWatch | undefined;
  #slot: Slot | undefined;
  #timer: Timer | undefined;
  #activation: Activation | undefined;
  #end: SpareEnd | undefined;
  #claimed = false;

  /** @param memory measures the spare; undefined without a memory budget */
  constructor(fingerprint: Fingerprint, memory: MemoryWatch | undefined, deps: SpareDeps) {
    this.fingerprint = fingerprint;
    this.conversationId = deps.newId();
    this.left = this.#left.promise;
    this.#memory = memory;
    this.#deps = deps;
  }

  /** Whether it can be claimed now. */
  get ready(): boolean {
    return this.#activation?.ending === false && this.#end === undefined && !this.#claimed;
  }

  /** Starts the process. Resolves when it is ready or has failed. */
  async start(shape: Shape, slot: Slot): Promise<void> {
    const { clock, newId } = this.#deps;
    this.#slot = slot;
    try {
      const conversation = { kind: "new", id: this.conversationId } as const;
      const request = { ...shape, conversation, id: newId(), host: this.#host, signal: this.#cancel.signal };
      const activation = await this.#deps.startActivation(request, clock);
      this.#activation = activation;
      void activation.exited.then(() => this.#gone());
      this.#memory?.watch(activation.marker, (bytes) => slot.measured(bytes));
      this.#timer = clock.schedule(MAX_AGE_MS, () => void this.discard("expired"), { background: true });
      if (this.#end !== undefined) void activation.end(STAGES);
    } catch {
      this.#gone();
    }
  }

  hibernate(): boolean {
    if (this.#claimed || this.#end !== undefined) return false;
    void this.discard("evicted");
    return true;
  }

  /** Ends the process. Resolves when it is gone. */
  async discard(end: SpareEnd): Promise<void> {
    if (this.#claimed) return;
    this.#end ??= end;
    this.#cancel.abort(new Error("no longer wanted"));
    void this.#activation?.end(STAGES);
    await this.left;
  }

  /**
   * Hands the process and its slot over to `holder`, which learns about the process by binding it. Returns undefined unless the
   * spare is ready.
   */
  claim(holder: SlotHolder): ClaimedSpare | undefined {
    const [activation, slot] = [this.#activation, this.#slot];
    if (!this.ready || activation === undefined || slot === undefined) return undefined;
    this.#claimed = true;
    this.#leave("claimed");
    slot.transfer(holder);
    const { conversationId } = this;
    return { activation, slot, conversationId, bind: (host) => this.#host.bind(host) };
  }

  #gone(): void {
    if (this.#claimed) return;
    this.#leave(this.#end ?? "failed");
    this.#slot?.release();
  }

  #leave(as: SpareEnd | "claimed"): void {
    this.#timer?.cancel();
    if (this.#activation !== undefined) this.#memory?.unwatch(this.#activation.marker);
    this.#left.resolve(as);
  }
}

/** A claimed spare. Its session must bind it or end it. */
export interface ClaimedSpare {
  readonly activation: Activation;
  readonly slot: Slot;
  /** The id of the process's conversation, which is still empty. */
  readonly conversationId: string;
  bind(host: ProcessHost): void;
}
