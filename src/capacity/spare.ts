import type { Activation, StartActivation } from "../claude/activation.ts";
import type { Fingerprint, Shape } from "../claude/fingerprint.ts";
import { ParkedHost, type ProcessHost } from "../claude/process-host.ts";
import type { Clock, Timer } from "../clock.ts";
import type { Slot, SlotHolder } from "./capacity.ts";
import type { MemoryWatch } from "./memory-watch.ts";

/** How long a spare is kept, in milliseconds. */
const KEPT_MS = 10 * 60_000;

/** A spare has nothing to finish. */
const STAGES = { inputMs: 500, termMs: 1_000 };

/** Why a spare was never used. */
export type SpareEnd = "evicted" | "expired" | "failed" | "closed";

export interface SpareDeps {
  readonly clock: Clock;
  /** A new UUID. */
  readonly newId: () => string;
  readonly startActivation: StartActivation;
}

/** A Claude Code process that was started ahead, for a conversation of its own, and is nobody's until it is claimed. */
export class Spare implements SlotHolder {
  readonly fingerprint: Fingerprint;
  /** The conversation that it is to begin. */
  readonly conversationId: string;
  /** Of all that could leave, it goes first. */
  readonly idleSince: number = Number.NEGATIVE_INFINITY;
  /** Resolves when it is nobody's any more: it has been claimed, or is gone. */
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

  /** @param memory what measures it, if that is of interest */
  constructor(fingerprint: Fingerprint, memory: MemoryWatch | undefined, deps: SpareDeps) {
    this.fingerprint = fingerprint;
    this.conversationId = deps.newId();
    this.left = this.#left.promise;
    this.#memory = memory;
    this.#deps = deps;
  }

  /** Whether it could be claimed now. */
  get ready(): boolean {
    return this.#activation?.ending === false && this.#end === undefined && !this.#claimed;
  }

  /** Starts it; resolves when it is up, or will not come up. */
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
      this.#timer = clock.schedule(KEPT_MS, () => void this.discard("expired"), { background: true });
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

  /** Ends it; resolves when it is gone. */
  async discard(end: SpareEnd): Promise<void> {
    if (this.#claimed) return;
    this.#end ??= end;
    this.#cancel.abort(new Error("no longer wanted"));
    void this.#activation?.end(STAGES);
    await this.left;
  }

  /** The process and its slot are `holder`'s from now on; it hears of the process when it binds it. To be asked while it is ready. */
  claim(holder: SlotHolder): ClaimedSpare | undefined {
    const [activation, slot] = [this.#activation, this.#slot];
    if (!this.ready || activation === undefined || slot === undefined) return undefined;
    this.#claimed = true;
    this.#leave("claimed");
    slot.pass(holder);
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

/** A spare that is a session's, who has to bind it or to end it. */
export interface ClaimedSpare {
  readonly activation: Activation;
  readonly slot: Slot;
  /** The conversation that the process is in; nothing has been said in it. */
  readonly conversationId: string;
  bind(host: ProcessHost): void;
}
