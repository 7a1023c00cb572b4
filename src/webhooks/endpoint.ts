import type { Clock, Timer } from "../clock.ts";
import { publish } from "../events.ts";
import { withoutUndefined } from "../fields.ts";
import { type EndpointEvent, type EndpointState, failuresOf, nextEndpointState } from "./endpoint-state.ts";
import { type Fate, fateOf, retryDelay } from "./fate.ts";
import { signedHeaders } from "./signature.ts";
import { MOST_REQUESTS, type ResolveName, WebhookConnection } from "./webhook-connection.ts";
import type { WebhookMessage } from "./webhook-message.ts";
import type { WebhookSettings } from "./webhook-options.ts";
import type { EndpointStatus, WebhookDrop, WebhookFailure, WebhookTest } from "./webhook-status.ts";

/** From how many failures in a row on to warn. A restart of the receiver takes a few. */
const WARN_AFTER = 3;

/** How often a disabled endpoint looks for events that are too old, in milliseconds. */
const LOOK_MS = 3_600_000;

export interface EndpointDeps {
  readonly clock: Clock;
  /** Returns a number in [0, 1), for jitter. */
  readonly random: () => number;
  readonly newId: () => string;
  readonly warn: (message: string) => void;
  /** Default: the machine's. */
  readonly resolveName?: ResolveName | undefined;
}

/** A request that waits for its turn. */
interface Waiter {
  /** When it is too old, in milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly go: (entry: "go" | "expired" | "stopped") => void;
}

/** A message and the id of its request. */
export interface Outgoing {
  readonly id: string;
  readonly message: WebhookMessage;
  readonly attempt: number;
}

/** One endpoint: its requests, a few at a time, and whether it gets any at present. */
export class Endpoint {
  readonly settings: WebhookSettings;
  readonly #deps: EndpointDeps;
  readonly #connection: WebhookConnection;
  #state: EndpointState = { name: "ready" };
  /** In the order of their arrival. */
  readonly #waiting = new Set<Waiter>();
  /** Ends the waits of those whose event was rejected. */
  readonly #delayed = new Set<() => void>();
  #running = 0;
  #timer: Timer | undefined;
  #delivered = 0;
  #dropped = 0;
  #lastDeliveredAt: number | undefined;
  #lastFailure: WebhookFailure | undefined;

  constructor(settings: WebhookSettings, deps: EndpointDeps) {
    this.settings = settings;
    this.#deps = deps;
    this.#connection = new WebhookConnection(settings, deps.clock, deps.resolveName);
  }

  get isReady(): boolean {
    return this.#state.name === "ready";
  }

  /**
   * Sends a message when it is its turn.
   *
   * @param make makes the message, so that one that waits takes no memory
   * @returns what became of it; `expired` if it got too old while the endpoint took nothing, `stopped` if `signal` was aborted
   */
  async send(
    expiresAt: number,
    signal: AbortSignal,
    make: () => Promise<Outgoing>,
  ): Promise<Fate | { readonly name: "expired" | "stopped" }> {
    const entry = await this.#enter(expiresAt, signal);
    if (entry !== "go") return { name: entry };
    try {
      const outgoing = await make();
      const fate = await this.#post(outgoing, signal);
      if (signal.aborted) return { name: "stopped" };
      this.#learn(fate);
      return fate;
    } finally {
      this.#running -= 1;
      this.#admit();
    }
  }

  /** Waits before the next attempt for an event that was rejected `failures` times, or until somebody retries. */
  async delay(failures: number, waitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#deps.clock.schedule(retryDelay(failures, waitMs, this.#deps.random), resolve, {
      background: true,
    });
    this.#delayed.add(resolve);
    const stop = (): void => resolve();
    signal.addEventListener("abort", stop, { once: true });
    if (!signal.aborted) await promise;
    signal.removeEventListener("abort", stop);
    timer.cancel();
    this.#delayed.delete(resolve);
  }

  /** Enables a disabled endpoint, and ends all waits. */
  retry(): void {
    this.#become({ name: "retry" });
    for (const wake of this.#delayed) wake();
  }

  /** Sends a test message at once, whatever the state. It does not change the state. */
  async test(): Promise<WebhookTest> {
    const { clock, newId } = this.#deps;
    const began = clock.monotonic();
    const message = { type: "webhook.test", timestamp: new Date(clock.now()).toISOString(), data: {} } as const;
    const fate = await this.#post({ id: `msg_test_${newId()}`, message, attempt: 1 });
    const { status } = fate;
    const problem = "problem" in fate ? fate.problem : undefined;
    const durationMs = Math.round(clock.monotonic() - began);
    return { delivered: fate.name === "delivered", durationMs, ...withoutUndefined({ status, problem }) };
  }

  /** Tells that events will not be delivered. */
  drop(drop: Omit<WebhookDrop, "endpoint">): void {
    const { id } = this.settings;
    publish("castellan:webhook:drop", () => ({ endpoint: id, ...drop }));
    this.#dropped += 1;
    // Each power of two, so that many do not flood the log.
    if ((this.#dropped & (this.#dropped - 1)) !== 0) return;
    const why =
      drop.reason === "expired" ? "could not be delivered in time" : "were deleted before they were delivered";
    this.#deps.warn(`Webhook ${id}: events ${why}; ${this.#dropped} drops so far. Last failure: ${this.#lastWords()}`);
  }

  status(): Omit<EndpointStatus, "pendingSessions" | "morePending"> {
    const { clock } = this.#deps;
    const state = this.#state;
    const retryAt = state.name === "failing" ? clock.now() + Math.max(0, state.until - clock.monotonic()) : undefined;
    return {
      id: this.settings.id,
      origin: this.settings.url.origin,
      state: state.name,
      delivered: this.#delivered,
      dropped: this.#dropped,
      ...withoutUndefined({ retryAt, lastDeliveredAt: this.#lastDeliveredAt, lastFailure: this.#lastFailure }),
    };
  }

  close(): void {
    this.#timer?.cancel();
    for (const { go } of this.#waiting) go("stopped");
    this.#waiting.clear();
    this.#connection.close();
  }

  async #enter(expiresAt: number, signal: AbortSignal): Promise<"go" | "expired" | "stopped"> {
    if (signal.aborted) return "stopped";
    const { promise, resolve: go } = Promise.withResolvers<"go" | "expired" | "stopped">();
    const waiter: Waiter = { expiresAt, go };
    const stop = (): void => {
      this.#waiting.delete(waiter);
      go("stopped");
    };
    signal.addEventListener("abort", stop, { once: true });
    this.#waiting.add(waiter);
    this.#admit();
    const entry = await promise;
    signal.removeEventListener("abort", stop);
    return entry;
  }

  /** Lets requests begin, as many as the state allows; those that got too old meanwhile expire. */
  #admit(): void {
    const { clock } = this.#deps;
    if (this.#state.name !== "ready") {
      const now = clock.now();
      for (const waiter of this.#waiting) if (waiter.expiresAt <= now) this.#take(waiter, "expired");
    }
    for (const waiter of this.#waiting) {
      if (this.#running >= this.#allowed()) break;
      this.#running += 1;
      this.#take(waiter, "go");
    }
  }

  #take(waiter: Waiter, entry: "go" | "expired"): void {
    this.#waiting.delete(waiter);
    waiter.go(entry);
  }

  #allowed(): number {
    const state = this.#state;
    if (state.name === "ready") return MOST_REQUESTS;
    return state.name === "failing" && state.until <= this.#deps.clock.monotonic() ? 1 : 0;
  }

  async #post({ id, message, attempt }: Outgoing, signal?: AbortSignal): Promise<Fate> {
    const { clock } = this.#deps;
    const body = JSON.stringify(message);
    const began = clock.monotonic();
    const headers = signedHeaders(id, clock.now(), body, this.settings.keys);
    const fate = fateOf(await this.#connection.post(headers, body, signal));
    if (signal?.aborted !== true) {
      publish("castellan:webhook:attempt", () => ({
        endpoint: this.settings.id,
        id,
        type: message.type,
        attempt,
        outcome: fate.name,
        durationMs: clock.monotonic() - began,
        ...withoutUndefined({ status: fate.status }),
      }));
    }
    return fate;
  }

  #learn(fate: Fate): void {
    const { clock, random } = this.#deps;
    if (fate.name === "delivered") {
      this.#delivered += 1;
      this.#lastDeliveredAt = clock.now();
      this.#become({ name: "answered" });
      return;
    }
    const problem = fate.name === "gone" ? "it answered 410: it wants no more events" : fate.problem;
    this.#lastFailure = { at: clock.now(), problem, ...withoutUndefined({ status: fate.status }) };
    if (fate.name === "rejected") this.#become({ name: "answered" });
    else if (fate.name === "gone") this.#become({ name: "gone" });
    else {
      const until = (failures: number): number => clock.monotonic() + retryDelay(failures, fate.waitMs, random);
      // Requests that ran side by side fail as one.
      if (this.#allowed() > 0) this.#become({ name: "unreachable", until });
    }
  }

  #become(event: EndpointEvent): void {
    const { warn } = this.#deps;
    const before = this.#state;
    const state = nextEndpointState(before, event);
    this.#state = state;
    this.#wait();
    const { id } = this.settings;
    if (state.name === "disabled" && before.name !== "disabled") {
      warn(`Webhook ${id} is disabled: it answered 410. Its events wait until it is retried.`);
    } else if (failuresOf(state) === WARN_AFTER) {
      warn(`Webhook ${id} cannot be reached: ${this.#lastWords()}. Its events wait.`);
    }
    this.#admit();
  }

  /** Waits for the next test of a failing endpoint, or for events to get too old. */
  #wait(): void {
    const { clock } = this.#deps;
    const state = this.#state;
    this.#timer?.cancel();
    this.#timer = undefined;
    if (state.name === "ready") return;
    const due = state.name === "failing" ? state.until : clock.monotonic() + LOOK_MS;
    const ms = Math.max(1, due - clock.monotonic());
    this.#timer = clock.schedule(
      ms,
      () => {
        // A timer may be early.
        if (due > clock.monotonic() || state.name === "disabled") this.#wait();
        this.#admit();
      },
      { background: true },
    );
  }

  #lastWords(): string {
    return this.#lastFailure?.problem ?? "none";
  }
}
