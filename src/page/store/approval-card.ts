import type { Approval, ApprovalOutcome, PastApproval } from "../../wire/approval.ts";

/** How an approval ended, as the page knows it. */
export interface Settlement {
  readonly outcome: ApprovalOutcome;
  /** Whether this page gave the answer. */
  readonly mine: boolean;
  readonly by?: string | undefined;
  readonly at?: number | undefined;
  /** What Claude was told. */
  readonly message?: string | undefined;
}

/**
 * The state of an approval on the page. `sent`: this page's answer is under way. `gone`: it is no longer pending, and the page asks what
 * became of it.
 */
export type CardState =
  | { readonly is: "open" }
  | { readonly is: "sent" }
  | { readonly is: "gone" }
  | { readonly is: "settled"; readonly settlement: Settlement };

/** An approval on the page. It stays where it is when it is settled, until somebody takes it away. */
export interface ApprovalCard {
  readonly approval: Approval;
  readonly state: CardState;
}

/** The settled approvals that stay when others come. Earlier ones would keep those that are open off the page; they are in the history. */
const MOST_SETTLED = 20;

/** Returns the cards after the pending approvals have been read: the oldest first, and no open one removed. */
export function withPending(cards: readonly ApprovalCard[], pending: readonly Approval[]): readonly ApprovalCard[] {
  const listed = new Map(pending.map((approval) => [approval.id, approval]));
  const known = cards.map((card) => {
    const isListed = listed.delete(card.approval.id);
    if (card.state.is === "open" && !isListed) return { ...card, state: { is: "gone" } as const };
    if (card.state.is === "gone" && isListed) return { ...card, state: { is: "open" } as const };
    return card;
  });
  if (listed.size === 0) return known.every((card, index) => card === cards[index]) ? cards : known;
  const added = [...listed.values()].map((approval): ApprovalCard => ({ approval, state: { is: "open" } }));
  const all = [...known, ...added].sort((one, other) => one.approval.requestedAt - other.approval.requestedAt);
  return withoutEarliestSettled(all);
}

function withoutEarliestSettled(cards: readonly ApprovalCard[]): readonly ApprovalCard[] {
  const settled = cards.filter(({ state }) => state.is === "settled");
  const surplus = new Set(settled.slice(0, Math.max(0, settled.length - MOST_SETTLED)));
  return cards.filter((card) => !surplus.has(card));
}

/** Returns the cards with another state of one. What is settled stays settled. */
export function withState(cards: readonly ApprovalCard[], id: string, state: CardState): readonly ApprovalCard[] {
  return cards.map((card) =>
    card.approval.id === id && card.state.is !== "settled" ? { approval: card.approval, state } : card,
  );
}

/** Returns how an approval ended, by the history of its session; undefined if that does not tell. */
export function settlementOf(id: string, past: readonly PastApproval[]): Settlement | undefined {
  const found = past.find((one) => one.id === id);
  if (found?.outcome === undefined) return undefined;
  const { outcome, by, settledAt: at, message } = found;
  return { outcome, mine: false, by, at, message };
}

/** Returns the card that keys act on: the selected one, as long as it is there, and otherwise the first open one. */
export function activeCard(cards: readonly ApprovalCard[], selected: string | undefined): ApprovalCard | undefined {
  return cards.find(({ approval }) => approval.id === selected) ?? cards.find(({ state }) => state.is === "open");
}

/** Returns the open card after, or before, the one of this id; the nearest one if there is none in this direction. */
export function neighbour(cards: readonly ApprovalCard[], id: string | undefined, step: 1 | -1): string | undefined {
  const at = cards.findIndex(({ approval }) => approval.id === id);
  const open = cards.flatMap(({ approval, state }, index) => (state.is === "open" ? [{ id: approval.id, index }] : []));
  const next = step === 1 ? open.find(({ index }) => index > at) : open.findLast(({ index }) => index < at);
  const nearest = step === 1 ? open.at(-1) : open[0];
  return (next ?? nearest)?.id;
}

const DONE: Readonly<Record<ApprovalOutcome, string>> = {
  approved: "Allowed",
  denied: "Denied",
  expired: "Denied, because nobody answered in time",
  withdrawn: "Withdrawn",
};

/** Returns who decided what, as a sentence without its end: `Denied by token:ann`. */
export function settlementText(tool: string, { outcome, mine, by }: Omit<Settlement, "at" | "message">): string {
  if (outcome === "expired" || outcome === "withdrawn") return DONE[outcome];
  const done = outcome === "approved" && tool === "AskUserQuestion" ? "Answered" : DONE[outcome];
  if (mine) return `${done} by you`;
  return by === undefined ? done : `${done} by ${by}`;
}
