import type { JsonObject } from "../../src/journal/model/session-entry.ts";
import type { EndedTurnState, TurnEntry, TurnEntryState } from "../../src/journal/model/turn-entry.ts";
import { hasEnded } from "../../src/session/streams/turn-state.ts";

/** What a simulated session writes down of its turns, and what its activation adds to the transcript. */
export type SimulatedChange =
  | {
      readonly type: "accepted";
      readonly turn: string;
      readonly prompt: string;
      readonly acceptedAt: number;
      readonly timeoutMs: number | undefined;
    }
  | { readonly type: "withdrawn"; readonly turn: string }
  | { readonly type: "begun"; readonly turn: string; readonly attempt: number }
  | { readonly type: "touched"; readonly turn: string }
  | { readonly type: "requeued"; readonly turn: string }
  | {
      readonly type: "ended";
      readonly turn: string;
      readonly state: EndedTurnState;
      readonly outcome: JsonObject;
    }
  | { readonly type: "said"; readonly turn: string; readonly attempt: number; readonly text: string };

/** A change that was written, by whom, and who owned the session at that moment. */
export interface Written {
  readonly at: number;
  readonly boot: string;
  readonly key: string;
  readonly epoch: number;
  readonly change: SimulatedChange;
  /** Whether the one who wrote it owned the session then, under that epoch. */
  readonly owned: boolean;
}

interface StoredTurn {
  readonly id: string;
  readonly session: string;
  readonly prompt: string;
  readonly position: number;
  readonly acceptedAt: number;
  readonly timeoutMs: number | undefined;
  state: TurnEntryState;
  attempts: number;
  touched: boolean;
  outcome: JsonObject | undefined;
  /** How often it was told that it ended. */
  ends: number;
}

/** The turns and transcripts of all sessions. Whether somebody may write is the engine's to say. */
export class SimulatedJournal {
  readonly #turns = new Map<string, StoredTurn>();
  /** All that was written, in order. */
  readonly written: Written[] = [];
  readonly #said = new Set<string>();

  get turns(): readonly Readonly<StoredTurn>[] {
    return [...this.#turns.values()];
  }

  write(written: Written): void {
    this.written.push(written);
    this.#apply(written.key, written.change);
  }

  find(id: string): TurnEntry | undefined {
    const turn = this.#turns.get(id);
    return turn && entryOf(turn);
  }

  /** The turns of a session that have not ended, in the order in which they are to run. */
  open(key: string): readonly TurnEntry[] {
    const open = this.turns.filter(({ session, state }) => session === key && !isOver(state));
    return open.toSorted((one, other) => one.position - other.position).map(entryOf);
  }

  /** Whether the transcript has something of this try of a turn. */
  hasSaid(turn: string, attempt: number): boolean {
    return this.#said.has(`${turn}/${attempt}`);
  }

  #apply(key: string, change: SimulatedChange): void {
    const turn = this.#turns.get(change.turn);
    if (change.type === "accepted") {
      if (turn !== undefined) return;
      const { turn: id, prompt, acceptedAt, timeoutMs } = change;
      const fresh = { state: "queued", attempts: 0, touched: false, outcome: undefined, ends: 0 } as const;
      const asked = { id, session: key, prompt, position: this.#turns.size, acceptedAt, timeoutMs };
      this.#turns.set(id, { ...asked, ...fresh });
      return;
    }
    if (change.type === "said") this.#said.add(`${change.turn}/${change.attempt}`);
    if (turn === undefined) return;
    if (change.type === "ended") turn.ends++;
    if (isOver(turn.state)) return;
    switch (change.type) {
      case "withdrawn":
        if (turn.state === "queued" && turn.attempts === 0) this.#turns.delete(change.turn);
        return;
      case "begun":
        turn.state = "running";
        turn.attempts = change.attempt;
        turn.touched = false;
        return;
      case "touched":
        turn.touched = true;
        return;
      case "requeued":
        turn.state = "queued";
        turn.touched = false;
        return;
      case "ended":
        turn.state = change.state;
        turn.outcome = change.outcome;
        return;
      case "said":
        return;
    }
  }
}

function isOver(state: TurnEntryState): state is EndedTurnState {
  return state !== "queued" && hasEnded(state);
}

function entryOf(turn: StoredTurn): TurnEntry {
  const { outcome, timeoutMs, ends: _, ...entry } = turn;
  return {
    ...entry,
    durable: true,
    ...(outcome === undefined ? {} : { outcome }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}
