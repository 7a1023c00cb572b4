import type { Journal } from "../src/index.ts";

/** A journal that takes everything and keeps nothing: what is left is what Castellan costs without one. */
export function noJournal(): Journal {
  return {
    place: "nowhere",
    open: async () => {},
    close: async () => {},
    write: async () => {},
    sessions: async () => [],
    unfinishedBeginning: async () => [],
    turn: async () => undefined,
    unfinishedTurns: async () => [],
    approvals: async () => [],
    conversations: async () => [],
    records: async function* () {},
    extent: async () => ({ turns: 0, approvals: 0 }),
    usage: async () => [],
    prune: async () => 0,
  };
}
