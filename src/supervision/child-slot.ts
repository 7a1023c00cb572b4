import type { Clock } from "../clock.ts";
import type { CastellanError } from "../errors.ts";
import { exitFromResolved, exitFromThrown } from "./child-exit.ts";
import type { ChildInfo } from "./child-info.ts";
import type { ChildSettings } from "./child-settings.ts";
import type { Child, ChildEvent, ChildExit, Shutdown, StartContext } from "./child-spec.ts";
import { type ChildState, type ChildStateEvent, isAlive, nextState, type Rest } from "./child-state.ts";
import { type Departed, Departure } from "./departure.ts";
import { afterUptime, type History, noHistory } from "./history.ts";
import type { Round } from "./round.ts";

/** Told of what happens to a child, at once and before anybody who waits for it. */
export interface SlotOwner {
  arrived(slot: ChildSlot): void;
  /** It did not come up. The owner must say where it rests, with {@link ChildSlot.end}. */
  failed(slot: ChildSlot, exit: ChildExit): void;
  /** It was up and ended by itself. The owner must say where it rests, with {@link ChildSlot.end}. */
  exited(slot: ChildSlot, exit: ChildExit): void;
  /** It was let go and is no longer there. `error` is what went wrong with that. */
  gone(slot: ChildSlot, error: unknown): void;
}

/** What a start came to. */
type Arrival = { readonly child: Child } | { readonly thrown: unknown };

/** One incarnation of a child, from the call of its start until it is gone. */
interface Incarnation {
  readonly controller: AbortController;
  readonly arrival: Promise<Arrival>;
  /** Resolves when the start is over: the child is up, did not come up, or was called off and is gone. */
  readonly launched: PromiseWithResolvers<void>;
  readonly gone: PromiseWithResolvers<void>;
  child?: Child;
  departure?: Departure;
}

const shownAs = {
  due: "restarting",
  starting: "restarting",
  up: "running",
  quarantined: "quarantined",
  terminated: "terminated",
  forgotten: "terminated",
} as const;

/** The place of one child in its supervisor: starts it, watches it and ends it, one incarnation after another. */
export class ChildSlot {
  readonly settings: ChildSettings;
  history: History = noHistory;
  /** Whether the child has ever been up. */
  everUp = false;
  /** The round that will start the child. */
  round: Round | undefined;
  /** Where the child rests if a start by hand fails. Without it a start that fails is judged like a crash. */
  restIfFailed: Rest | undefined;
  readonly #owner: SlotOwner;
  readonly #clock: Clock;
  readonly #maxSeconds: number;
  #state: ChildState = { name: "due" };
  #incarnation: Incarnation | undefined;
  #nextUp: PromiseWithResolvers<Child> | undefined;

  /** `maxSeconds` is the period of the supervisor's intensity. */
  constructor(settings: ChildSettings, owner: SlotOwner, clock: Clock, maxSeconds: number) {
    this.settings = settings;
    this.#owner = owner;
    this.#clock = clock;
    this.#maxSeconds = maxSeconds;
  }

  get state(): ChildState {
    return this.#state;
  }

  get alive(): boolean {
    return isAlive(this.#state);
  }

  /** How many restarts the current series of crashes has, as of now. */
  get restarts(): number {
    return this.#currentHistory().restarts;
  }

  /** How the child stands toward calls, and is shown. */
  get standing(): ChildInfo["state"] {
    const { name } = this.#state.name === "leaving" ? this.#state.next : this.#state;
    const isFirstStart = !this.everUp && this.history.restarts === 0;
    return isFirstStart && (name === "due" || name === "starting") ? "starting" : shownAs[name];
  }

  /** Whether the child is being stopped and will not come back by itself. */
  get leavingForGood(): boolean {
    return this.#state.name === "leaving" && this.#state.next.name !== "due";
  }

  /** What is known of the child. */
  describe(): ChildInfo {
    const { id, type, restart, significant } = this.settings;
    const state = this.#state;
    return {
      id,
      child: state.name === "up" ? state.child : undefined,
      state: this.standing,
      type,
      restart,
      significant,
      restarts: this.restarts,
      lastExits: this.history.exits,
      ...(state.name === "due" && state.retryAt !== undefined ? { retryAt: state.retryAt } : {}),
    };
  }

  /**
   * Tells the listener of the child, if it has one. All listeners are told in the order of events, each in a microtask, so
   * that it may call the supervisor without meeting it in the middle of a step. What it throws or rejects with is ignored.
   */
  tell(event: ChildEvent): void {
    const { onEvent } = this.settings;
    if (onEvent === undefined) return;
    const told = Promise.resolve().then(() => onEvent(event));
    told.catch(() => {});
  }

  /** The child when it is next up. Rejects when a start fails or the child is let go before. */
  nextUp(): Promise<Child> {
    if (this.#nextUp === undefined) {
      this.#nextUp = Promise.withResolvers<Child>();
      this.#nextUp.promise.catch(() => {});
    }
    return this.#nextUp.promise;
  }

  /** Tells those who wait for the child that it does not come. */
  refuse(error: CastellanError): void {
    this.#nextUp?.reject(error);
    this.#nextUp = undefined;
  }

  /** Starts a child that is due. Resolves when that is over, whatever came of it. */
  launch(): Promise<void> {
    this.#take({ type: "launch" });
    const arrival = Promise.withResolvers<Arrival>();
    const incarnation: Incarnation = {
      controller: new AbortController(),
      arrival: arrival.promise,
      launched: Promise.withResolvers<void>(),
      gone: Promise.withResolvers<void>(),
    };
    this.#incarnation = incarnation;
    void arrival.promise.then((outcome) => this.#settle(incarnation, outcome));
    const context = { attempt: this.history.restarts, signal: incarnation.controller.signal };
    void bringUp(this.settings, context).then(arrival.resolve);
    return incarnation.launched.promise;
  }

  /** Says where a child rests that ended by itself or did not come up. */
  end(next: Rest): void {
    this.#incarnation = undefined;
    this.#take({ type: "ended", next });
  }

  /**
   * Lets go of the child, at once and without waiting: its exit is no crash from now on, a start is called off, and
   * it will rest as `next`. {@link halt} then ends it.
   */
  leave(next: Rest): void {
    const before = this.#state;
    this.history = this.#currentHistory();
    this.#take({ type: "leave", next });
    if (before.name === "starting") this.#incarnation?.controller.abort();
    else if (before.name === "due" && next.name !== "due") this.#owner.gone(this, undefined);
  }

  /** Ends a child that was let go. Resolves when it is gone; calls share one ending. */
  halt(how: Shutdown = this.settings.shutdown): Promise<void> {
    const incarnation = this.#incarnation;
    if (incarnation === undefined || this.#state.name !== "leaving") return Promise.resolve();
    if (incarnation.departure === undefined) {
      const child = incarnation.child ?? incarnation.arrival.then((outcome) => childIn(outcome));
      incarnation.departure = new Departure(this.settings.id, child, how, this.#clock);
      void incarnation.departure.done.then((end) => this.#leaveBehind(incarnation, end));
    }
    return incarnation.gone.promise;
  }

  /** Resolves when the present incarnation, if there is one, is gone. */
  whenGone(): Promise<void> {
    return this.#incarnation?.gone.promise ?? Promise.resolve();
  }

  /** Ends a child that was let go, or the ending of one, with a kill. */
  kill(): void {
    void this.halt("brutal_kill");
    this.#incarnation?.departure?.kill();
  }

  #currentHistory(): History {
    if (this.#state.name !== "up") return this.history;
    return afterUptime(this.history, this.#clock.monotonic() - this.#state.since, this.#maxSeconds);
  }

  #take(event: ChildStateEvent): void {
    this.#state = nextState(this.#state, event);
  }

  #settle(incarnation: Incarnation, outcome: Arrival): void {
    // A start that was called off belongs to its departure.
    if (this.#incarnation !== incarnation || this.#state.name !== "starting") return;
    if ("child" in outcome) {
      this.#arrive(incarnation, outcome.child);
    } else {
      this.#owner.failed(this, exitFromThrown(outcome.thrown));
      incarnation.gone.resolve();
    }
    incarnation.launched.resolve();
  }

  #arrive(incarnation: Incarnation, child: Child): void {
    incarnation.child = child;
    this.everUp = true;
    this.restIfFailed = undefined;
    this.#take({ type: "arrived", child, at: this.#clock.monotonic() });
    this.#owner.arrived(this);
    this.#nextUp?.resolve(child);
    this.#nextUp = undefined;
    void child.exited.then(exitFromResolved, exitFromThrown).then((exit) => this.#exit(incarnation, exit));
  }

  #exit(incarnation: Incarnation, exit: ChildExit): void {
    if (this.#incarnation !== incarnation) return;
    if (this.#state.name === "up") {
      this.history = this.#currentHistory();
      this.#owner.exited(this, exit);
      incarnation.gone.resolve();
    } else if (incarnation.departure === undefined) {
      // It ended while it stood in line to be stopped.
      this.#leaveBehind(incarnation, { isGone: true });
    }
  }

  #leaveBehind(incarnation: Incarnation, { isGone, error }: Departed): void {
    this.#incarnation = undefined;
    // Another one beside a child that could not be ended might do what only one may do at a time.
    if (!isGone && !this.leavingForGood) this.#take({ type: "leave", next: { name: "quarantined" } });
    this.#take({ type: "gone" });
    this.#owner.gone(this, error);
    incarnation.launched.resolve();
    incarnation.gone.resolve();
  }
}

async function bringUp(settings: ChildSettings, context: StartContext): Promise<Arrival> {
  try {
    const child = await settings.start(context);
    if (typeof child?.exited?.then !== "function" || typeof child.stop !== "function") {
      throw new TypeError(`the start of ${settings.id} gave no child: it has no promise "exited" or no method "stop"`);
    }
    return { child };
  } catch (thrown) {
    return { thrown };
  }
}

function childIn(outcome: Arrival): Child | undefined {
  return "child" in outcome ? outcome.child : undefined;
}
