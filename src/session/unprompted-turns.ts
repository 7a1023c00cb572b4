import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import type { Clock, Timer } from "../clock.ts";
import type { CurrentTurn } from "./current-turn.ts";
import { TurnRecord } from "./turn-record.ts";
import { nextUnprompted, type PromptStage, type Unbidden, type Unprompted, unpromptedEventOf } from "./unprompted.ts";

/**
 * How long after the end of a task its turn is waited for. Claude Code takes 100 ms; where the task has been stopped, it says that it
 * rests, unless other agents run.
 */
const EXPECTED_MS = 5_000;

/** What is done about turns that Claude Code begins by itself. */
export interface UnpromptedEvents {
  /** It has something to do by itself from now on; its turn may still be to come. */
  works(): void;
  began(turn: CurrentTurn, origin: Unbidden): void;
  /** It has nothing to do by itself any more. `left` is a turn that had no result. */
  rests(left: CurrentTurn | undefined): void;
}

/** The turns that Claude Code begins by itself: found in what it says, and kept apart from those of callers. */
export class UnpromptedTurns {
  readonly #who: string;
  readonly #deps: { readonly clock: Clock; readonly newId: () => string };
  readonly #events: UnpromptedEvents;
  #state: Unprompted = { name: "none" };
  #current: CurrentTurn | undefined;
  #timer: Timer | undefined;

  /** `who` is the session, for messages. */
  constructor(who: string, deps: { readonly clock: Clock; readonly newId: () => string }, events: UnpromptedEvents) {
    this.#who = who;
    this.#deps = deps;
    this.#events = events;
  }

  /** The turn that runs, if one does. */
  get current(): CurrentTurn | undefined {
    return this.#current;
  }

  /** Whether a turn runs, or is about to begin. */
  get busy(): boolean {
    return this.#state.name !== "none";
  }

  /** Takes a message. The turn that it is of, if Claude Code began that; a result ends it with `end`. */
  take(message: SDKMessage, stage: PromptStage): CurrentTurn | undefined {
    const event = unpromptedEventOf(message, stage);
    if (event !== undefined && event.type !== "ended") this.#apply(event);
    // A turn that follows on what has ended meanwhile begins after the caller's.
    if (stage === "begun") this.#timer?.cancel();
    const current = this.#current;
    return stage === "begun" || current?.record.progress.isForeign(message) === true ? undefined : current;
  }

  /** The caller's turn is over; what Claude Code does by itself may begin. */
  promptEnded(): void {
    if (this.#state.name === "expected") this.#awaitTurn();
  }

  /** The turn has a result, and is over. */
  end(): void {
    this.#current?.stopping?.cancel();
    this.#current = undefined;
    this.#apply({ type: "ended" });
  }

  /** The process is gone. The turn that it was in. */
  gone(): CurrentTurn | undefined {
    this.#timer?.cancel();
    this.#state = { name: "none" };
    const current = this.#current;
    current?.stopping?.cancel();
    this.#current = undefined;
    return current;
  }

  #apply(event: Parameters<typeof nextUnprompted>[1]): void {
    const before = this.#state;
    const after = nextUnprompted(before, event);
    if (after === before) return;
    this.#state = after;
    this.#timer?.cancel();
    if (after.name === "expected") this.#awaitTurn();
    if (before.name === "none") this.#events.works();
    if (after.name === "running") this.#begin(after.origin);
    if (after.name !== "none" || before.name === "none") return;
    const left = this.#current;
    left?.stopping?.cancel();
    this.#current = undefined;
    this.#events.rests(left);
  }

  #awaitTurn(): void {
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.schedule(EXPECTED_MS, () => this.#apply({ type: "rests" }), { background: true });
  }

  #begin(origin: Unbidden): void {
    const { clock, newId } = this.#deps;
    const since = clock.monotonic();
    const record = new TurnRecord(newId(), "", this.#who, { origin, acceptedAt: clock.now(), since });
    record.enqueued();
    record.started();
    // It has no prompt of ours whose id could come up.
    this.#current = {
      record,
      uuid: record.id,
      since,
      startedAt: record.acceptedAt,
      begun: true,
      stopping: undefined,
      touched: false,
      anew: false,
      displaced: undefined,
      end: undefined,
    };
    this.#events.began(this.#current, origin);
  }
}
