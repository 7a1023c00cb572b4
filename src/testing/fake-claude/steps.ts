import type { FakeResult } from "./fake-result.ts";
import type { FakeApiError, FakeCrash, FakeScript, FakeTextOptions, FakeToolOutcome, FakeTurn } from "./fake-turn.ts";
import type { WireObject } from "./fake-wire.ts";

/** One step of a turn. */
export type Step = (turn: FakeTurn) => Promise<unknown>;

/** Sends a text. */
export const says =
  (text: string, options?: FakeTextOptions): Step =>
  (turn) =>
    turn.text(text, options);

/** Sends thinking. */
export const thinks =
  (text: string): Step =>
  (turn) =>
    turn.thinking(text);

/** Simulates a tool use, with the session's real hooks. */
export const uses =
  (tool: string, input: WireObject, outcome?: FakeToolOutcome): Step =>
  (turn) =>
    turn.toolUse(tool, input, outcome);

/** Ends the turn with this result. */
export const results =
  (result: FakeResult): Step =>
  (turn) =>
    turn.result(result);

/** Crashes the process during the turn. Default: by SIGKILL. */
export const crashes =
  (how: FakeCrash = { signal: "SIGKILL" }): Step =>
  (turn) =>
    turn.crash(how);

/** Hangs until the turn is interrupted or the process is killed. */
export const stalls = (): Step => (turn) => turn.hang();

/** Ends the turn with an API error: `{ status: 529 }`, `{ status: 401 }`, … */
export const fails =
  (error: FakeApiError): Step =>
  (turn) =>
    turn.fail(error);

/** Ends the turn with a usage limit that resets at `resetsAt`, in milliseconds since the epoch. */
export const hitsLimit =
  (resetsAt: number): Step =>
  async (turn) => {
    const seconds = Math.round(resetsAt / 1_000);
    const info = { status: "rejected", resetsAt: seconds, rateLimitType: "five_hour" };
    await turn.emit({ type: "rate_limit_event", rate_limit_info: info });
    await turn.fail({ status: 429, message: "usage limit reached" });
  };

/**
 * Streams a text piece by piece.
 *
 * @param between awaited before each piece except the first, to slow the stream
 */
export const streams =
  (pieces: readonly string[], between: () => Promise<unknown> = async () => {}): Step =>
  async (turn) => {
    for (const [index, piece] of pieces.entries()) {
      if (index > 0) await between();
      await turn.partial(piece);
    }
  };

/**
 * A script that runs these steps in order, and then ends the turn with a successful result.
 *
 * @example
 * fakeClaude(inOrder(thinks("hm"), uses("Read", { file_path: "a" }, { result: "…" }), says("done")));
 */
export function inOrder(...steps: readonly Step[]): FakeScript {
  return async (turn) => {
    for (const step of steps) await step(turn);
  };
}

/**
 * A script for several turns: the first script runs the first turn, and so on. The last script runs all further turns.
 *
 * @example
 * fakeClaude(turnByTurn(inOrder(says("…"), crashes()), inOrder(says("better now"))));
 */
export function turnByTurn(first: FakeScript, ...others: readonly FakeScript[]): FakeScript {
  const scripts = [first, ...others];
  let turns = 0;
  return (turn) => {
    const script = scripts[Math.min(turns, scripts.length - 1)] ?? first;
    turns += 1;
    return script(turn);
  };
}
