import { type Signal, signal } from "@preact/signals";
import { CastellanApiError, type SessionClient } from "../../client/index.ts";
import type { Approval, ApproveTool, PastApproval } from "../../wire/approval.ts";
import type { TurnSummary } from "../../wire/turn.ts";
import {
  type ApprovalCard,
  type Settlement,
  settlementOf,
  settlementText,
  withPending,
  withState,
} from "./approval-card.ts";
import { type ApprovalDraft, newDraft } from "./approval-draft.ts";
import { plural } from "./format.ts";
import { isGlobalName, type Name } from "./name.ts";
import { notify, type PageContext } from "./page-context.ts";
import { lastActive, type SettledApproval, withHistory } from "./past-approvals.ts";
import { messageOf, plain, shownName } from "./shown-name.ts";

/** An operator's answer to an approval. */
export type Decision =
  | { readonly kind: "allow"; readonly allowance: ApproveTool }
  | { readonly kind: "deny"; readonly message: string };

/** How many past approvals of a session are read: enough to find one that has just been settled. */
const PAST = 50;
/** The sessions whose history is read when the page opens. */
const SESSIONS = 20;
/** How many running turns are looked at for the one that asks: a session runs one at a time. */
const TURNS = 5;
/** How many requests run at a time. */
const PARALLEL = 4;

/** The approvals of a page that is open: pending ones, and those that have been settled since it was opened. */
export class ApprovalInbox {
  readonly cards: Signal<readonly ApprovalCard[]> = signal<readonly ApprovalCard[]>([]);
  readonly drafts: Signal<ReadonlyMap<string, ApprovalDraft>> = signal<ReadonlyMap<string, ApprovalDraft>>(new Map());
  readonly history: Signal<readonly SettledApproval[]> = signal<readonly SettledApproval[]>([]);
  /** Turns that have asked, by id. */
  readonly turns: Signal<ReadonlyMap<string, TurnSummary>> = signal<ReadonlyMap<string, TurnSummary>>(new Map());
  /** What a screen reader is told. */
  readonly news: Signal<string> = signal("");
  readonly #context: PageContext;
  readonly #ends = new AbortController();
  readonly #asked = new Set<string>();
  #opened = false;

  constructor(context: PageContext) {
    this.#context = context;
  }

  /** Reads what has been decided lately. */
  async readHistory(): Promise<void> {
    const sessions = [...this.#context.fleet.rows.peek().values()].map(({ info }) => info);
    const left = [...lastActive(sessions, SESSIONS)];
    const work = async (): Promise<void> => {
      for (let name = left.shift(); name !== undefined; name = left.shift()) await this.#readPast(name);
    };
    await Promise.all(Array.from({ length: PARALLEL }, work));
  }

  /** Takes what is pending. */
  take(pending: readonly Approval[]): void {
    const before = this.cards.peek();
    const cards = withPending(before, pending);
    this.cards.value = cards;
    const known = new Set(before.map(({ approval }) => approval.id));
    const added = cards.filter(({ approval }) => !known.has(approval.id));
    const [first] = added;
    if (this.#opened && first !== undefined) {
      const more = added.length > 1 ? `, and ${added.length - 1} more` : "";
      this.news.value = `New: ${plain(first.approval.tool)} of ${shownName(first.approval.session)}${more}`;
    }
    this.#opened = true;
    this.#forgetOthers();
    for (const { approval, state } of cards) {
      if (state.is === "gone") void this.#resolve(approval);
      void this.#readTurn(approval);
    }
  }

  /** Reads the history of a session again, because an approval of it was settled. */
  async settled(session: Name): Promise<void> {
    await this.#readPast(session);
  }

  /** Returns what the operator has chosen on a card. */
  draftOf(approval: Approval): ApprovalDraft {
    return this.drafts.value.get(approval.id) ?? newDraft(approval);
  }

  /** Changes what the operator has chosen on a card. */
  change({ id }: Approval, draft: ApprovalDraft): void {
    this.drafts.value = new Map(this.drafts.peek()).set(id, draft);
  }

  /** Sends an answer. Tells the operator if somebody else was first. */
  async decide(approval: Approval, decision: Decision): Promise<void> {
    const { id, session: name } = approval;
    const card = this.cards.peek().find((one) => one.approval.id === id);
    if (card?.state.is !== "open") return;
    this.cards.value = withState(this.cards.peek(), id, { is: "sent" });
    const session = this.#session(name);
    try {
      const { first, outcome } =
        decision.kind === "allow"
          ? await session.approve(id, decision.allowance)
          : await session.deny(id, decision.message.trim() || undefined);
      if (first) {
        this.#settle(approval, { outcome, mine: true, at: Date.now(), message: wordsOf(decision) });
        void this.#readPast(name);
        // Another node has no event here.
        if (isGlobalName(name)) void this.#context.fleet.readApprovals();
        return;
      }
      this.cards.value = withState(this.cards.peek(), id, { is: "gone" });
      await this.#resolve(approval);
      this.#tellOther(approval, decision);
    } catch (error) {
      if (error instanceof CastellanApiError && error.status === 404) {
        // If its end cannot be read now, the next list asks again.
        this.cards.value = withState(this.cards.peek(), id, { is: "gone" });
        return await this.#resolve(approval);
      }
      this.cards.value = withState(this.cards.peek(), id, { is: "open" });
      if (error instanceof CastellanApiError && error.status === 401) return;
      notify(`The answer was not accepted: ${messageOf(error)}`, {
        failed: true,
      });
    }
  }

  /** Takes settled cards away: one, or all. */
  clear(id?: string): void {
    const isLeft = ({ approval, state }: ApprovalCard): boolean =>
      state.is !== "settled" || (id !== undefined && approval.id !== id);
    this.cards.value = this.cards.peek().filter(isLeft);
    this.#forgetOthers();
  }

  /** Leaves the page. */
  stop(): void {
    this.#ends.abort();
  }

  /** Forgets the drafts and turns of cards that have gone. */
  #forgetOthers(): void {
    const [ids, turns] = [new Set<string>(), new Set<string | undefined>()];
    for (const { approval } of this.cards.peek()) {
      ids.add(approval.id);
      turns.add(approval.turnId);
    }
    this.drafts.value = only(this.drafts.peek(), ids);
    this.turns.value = only(this.turns.peek(), turns);
    for (const turn of this.#asked) if (!turns.has(turn)) this.#asked.delete(turn);
  }

  #settle({ id, tool, session }: Approval, settlement: Settlement): void {
    this.cards.value = withState(this.cards.peek(), id, { is: "settled", settlement });
    this.news.value = `${plain(tool)} of ${shownName(session)}: ${plain(settlementText(tool, settlement))}`;
  }

  /** Finds out how an approval ended. If the server does not answer, the next list asks again. */
  async #resolve(approval: Approval): Promise<void> {
    const { id, session } = approval;
    const past = await this.#readPast(session);
    if (past === "failed") return;
    const lost: Settlement = { outcome: "withdrawn", mine: false, message: "The session is gone." };
    const settlement = past === "missing" ? lost : settlementOf(id, past);
    if (settlement !== undefined) this.#settle(approval, settlement);
    // A list that is older than the request lacks it.
    else this.cards.value = withState(this.cards.peek(), id, { is: "open" });
  }

  /** Tells the operator that somebody else was first. An answer whose confirmation was lost is the operator's own. */
  #tellOther({ id, tool, session }: Approval, { kind }: Decision): void {
    const state = this.cards.peek().find(({ approval }) => approval.id === id)?.state;
    if (state?.is !== "settled") return;
    const { by, outcome } = state.settlement;
    const wanted = kind === "allow" ? "approved" : "denied";
    if (outcome === wanted && by === this.#context.fleet.server.peek()?.caller.id) return;
    const text = plain(settlementText(tool, state.settlement));
    notify(`Your answer came too late. ${plain(tool)} of ${shownName(session)}: ${text}.`, { failed: true });
  }

  async #readPast(name: Name): Promise<readonly PastApproval[] | "missing" | "failed"> {
    try {
      const past = await this.#session(name).approvalHistory({ limit: PAST }, { signal: this.#ends.signal });
      this.history.value = withHistory(this.history.peek(), name, past);
      return past;
    } catch (error) {
      return error instanceof CastellanApiError && error.status === 404 ? "missing" : "failed";
    }
  }

  async #readTurn({ turnId, session }: Approval): Promise<void> {
    if (turnId === undefined || this.#asked.has(turnId)) return;
    this.#asked.add(turnId);
    try {
      const query = { state: ["running"], limit: TURNS } as const;
      const { turns } = await this.#session(session).turns(query, { signal: this.#ends.signal });
      const found = turns.find(({ id }) => id === turnId);
      if (found !== undefined) this.turns.value = new Map(this.turns.peek()).set(turnId, found);
    } catch {
      // The card leaves it out until the next list.
      this.#asked.delete(turnId);
    }
  }

  #session(name: Name): SessionClient {
    return this.#context.link.client.session(name);
  }
}

/** Returns the entries with these keys: the same map if that is all. */
function only<Value>(
  map: ReadonlyMap<string, Value>,
  keys: ReadonlySet<string | undefined>,
): ReadonlyMap<string, Value> {
  const left = [...map].filter(([key]) => keys.has(key));
  return left.length === map.size ? map : new Map(left);
}

/** What a card tells of the operator's own answer. */
function wordsOf(decision: Decision): string | undefined {
  if (decision.kind === "deny") return decision.message.trim() || undefined;
  const { input, rules = [] } = decision.allowance;
  const words = [input !== undefined && "another input", rules.length > 0 && plural(rules.length, "change")].filter(
    Boolean,
  );
  return words.length === 0 ? undefined : `With ${words.join(" and ")}${rules.length > 0 ? " of permissions" : ""}.`;
}
