import type { JsonObject } from "../../src/journal/model/session-entry.ts";
import type { EndedTurnState, TurnEntry, TurnEntryState } from "../../src/journal/model/turn-entry.ts";
import { hasEnded } from "../../src/session/streams/turn-state.ts";

/** The changes that a simulated session writes about its turns, and what its process adds to the transcript. */
export type SimulatedChange =
  | {
      readonly type: "accepted";
      readonly turn: string;
      readonly prompt: string;
      readonly acceptedAt: number;
      readonly timeoutMs: number | undefined;
      /** Whether an earlier owner has accepted it, and this one has read it. */
      readonly before?: true;
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

/** A written change, its writer, and whether the writer owned the session. */
export interface Written {
  readonly at: number;
  readonly boot: string;
  readonly key: string;
  readonly epoch: number;
  readonly change: SimulatedChange;
  /** Whether the writer owned the session under that epoch at that moment. */
  readonly owned: boolean;
  /** Whether it was written before, and lost. */
  readonly again: boolean;
}

/** The cost of each attempt that ends. */
const COST = 1;

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
  /** The number of its "ended" changes. */
  ends: number;
}

/** What a database stores of a journal. */
export interface StoredJournal {
  readonly turns: readonly Readonly<StoredTurn>[];
  readonly said: readonly string[];
  readonly spent: readonly (readonly [turn: string, cost: number])[];
}

/** The turns and transcripts of all sessions. The engine decides who may write. */
export class SimulatedJournal {
  readonly #turns = new Map<string, StoredTurn>();
  /** Every written change, in order. */
  readonly written: Written[] = [];
  readonly #said = new Set<string>();
  /** The cost of each turn. Spending is added however the turn stands. */
  readonly #spent = new Map<string, number>();

  get turns(): readonly Readonly<StoredTurn>[] {
    return [...this.#turns.values()];
  }

  get stored(): StoredJournal {
    return { turns: this.turns.map((turn) => ({ ...turn })), said: [...this.#said], spent: [...this.#spent] };
  }

  /** The database fails over to a state that was stored before. What was written since is lost. */
  failOver({ turns, said, spent }: StoredJournal): void {
    for (const kept of [this.#turns, this.#said, this.#spent]) kept.clear();
    for (const turn of turns) this.#turns.set(turn.id, { ...turn });
    for (const one of said) this.#said.add(one);
    for (const [turn, cost] of spent) this.#spent.set(turn, cost);
  }

  costOf(turn: string): number {
    return this.#spent.get(turn) ?? 0;
  }

  write(written: Written): void {
    this.written.push(written);
    this.#apply(written.key, written.change);
  }

  find(id: string): TurnEntry | undefined {
    const turn = this.#turns.get(id);
    return turn && entryOf(turn);
  }

  /** Returns the unfinished turns of a session, in the order in which they run. */
  open(key: string): readonly TurnEntry[] {
    const open = this.turns.filter(({ session, state }) => session === key && !isOver(state));
    return open.toSorted((one, other) => one.position - other.position).map(entryOf);
  }

  /** Whether the transcript has output of this attempt of a turn. */
  hasMessages(turn: string, attempt: number): boolean {
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
    if (change.type === "ended" && change.state === "completed") {
      this.#spent.set(turn.id, this.costOf(turn.id) + COST);
    }
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
