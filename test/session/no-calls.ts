import type { TurnCalls } from "../../src/session/streams/turn.ts";

/** The calls of a turn whose session does not matter. */
export const NO_CALLS: TurnCalls = {
  async interrupt() {},
  async steer() {
    return undefined;
  },
  async *events() {},
  content: async () => undefined,
  asks: false,
};
