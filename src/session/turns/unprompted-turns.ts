import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { ownWorkOf } from "../../claude/messages/lifecycle.ts";
import type { Timer } from "../../clock.ts";
import type { SessionContext } from "../context/session-context.ts";
import type { Signal } from "../context/session-signal.ts";
import type { CurrentTurn } from "../streams/current-turn.ts";
import { TurnRecord, type TurnRequest } from "../streams/turn-record.ts";
import {
  nextUnprompted,
  type PromptStage,
  type Unprompted,
  type UnpromptedOrigin,
  unpromptedEventOf,
} from "./unprompted.ts";

/**
 * How long to wait for the turn that follows a task's end. Claude Code takes 100 ms. After a stopped task it reports
 * idle instead, unless other agents run.
 */
const EXPECTED_MS = 5_000;

const NONE: Unprompted = { name: "none" };

/** Detects the turns that Claude Code begins by itself in its messages, and keeps them apart from callers' turns. */
export class UnpromptedTurns {
  readonly #context: SessionContext;
  readonly #signal: Signal;
  #state: Unprompted = NONE;
  #current: CurrentTurn | undefined;
  #timer: Timer | undefined;

  constructor(context: SessionContext, signal: Signal) {
    this.#context = context;
    this.#signal = signal;
  }

  /** The running turn, if any. */
  get current(): CurrentTurn | undefined {
    return this.#current;
  }

  /** Whether a turn runs, or is about to begin. */
  get busy(): boolean {
    return this.#state.name !== "none";
  }

  /** Takes a message. Returns its turn if Claude Code began that by itself; a result ends the turn with `end`. */
  take(message: SDKMessage, stage: PromptStage): CurrentTurn | undefined {
    const work = ownWorkOf(message);
    const event = work === undefined ? undefined : unpromptedEventOf(work, stage);
    if (event !== undefined && event.type !== "ended") this.#apply(event);
    // A turn that follows a task's end in the meantime begins after the caller's turn.
    if (stage === "begun") this.#timer?.cancel();
    const current = this.#current;
    return stage === "begun" || current?.record.progress.isForeign(message) === true ? undefined : current;
  }

  /** Records that the caller's turn is over, so that Claude Code's own may begin. */
  promptEnded(): void {
    if (this.#state.name === "expected") this.#awaitTurn();
  }

  /** Ends the turn, which has its result. */
  end(): void {
    this.#current?.stopping?.cancel();
    this.#current = undefined;
    this.#apply({ type: "ended" });
  }

  /** Records that the process is gone. Returns the turn that it was in. */
  gone(): CurrentTurn | undefined {
    this.#timer?.cancel();
    this.#state = NONE;
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
    if (before.name === "none") this.#signal({ type: "turn_started" });
    if (after.name === "running") this.#begin(after.origin);
    if (after.name !== "none" || before.name === "none") return;
    const left = this.#current;
    left?.stopping?.cancel();
    this.#current = undefined;
    this.#signal({ type: "unprompted_done", left });
  }

  #awaitTurn(): void {
    this.#timer?.cancel();
    this.#timer = this.#context.clock.schedule(EXPECTED_MS, () => this.#apply({ type: "idle" }), { background: true });
  }

  #begin(origin: UnpromptedOrigin): void {
    const { who, clock, newId, journal } = this.#context;
    const since = clock.monotonic();
    const onEnd: TurnRequest["onEnd"] = (record, as, end) => {
      if ("error" in end) this.#signal({ type: "turn_failed", turnId: record.id });
      return journal.unpromptedEnded(record, as, end);
    };
    const record = new TurnRecord(newId(), "", who, { origin, acceptedAt: clock.now(), since, onEnd });
    journal.unpromptedBegan(record);
    record.enqueued();
    record.started();
    // It has no prompt whose id messages could name.
    this.#current = {
      record,
      uuid: record.id,
      since,
      startedAt: record.acceptedAt,
      begun: true,
      stopping: undefined,
      touched: false,
      rerun: false,
      displaced: undefined,
      held: undefined,
      spent: [],
      end: undefined,
    };
    this.#signal({ type: "unprompted_began", turn: this.#current });
  }
}
