import type { FakeResult } from "./fake-result.ts";
import type { FakeApiError, FakeCrash, FakeScript, FakeTextOptions, FakeToolOutcome, FakeTurn } from "./fake-turn.ts";
import type { WireObject } from "./fake-wire.ts";

/** One thing that happens in a turn. */
export type Step = (turn: FakeTurn) => Promise<unknown>;

/** Says a text. */
export const says =
  (text: string, options?: FakeTextOptions): Step =>
  (turn) =>
    turn.text(text, options);

/** Thinks aloud. */
export const thinks =
  (text: string): Step =>
  (turn) =>
    turn.thinking(text);

/** Uses a tool, with the session's real hooks; it only seems to run. */
export const uses =
  (tool: string, input: WireObject, outcome?: FakeToolOutcome): Step =>
  (turn) =>
    turn.toolUse(tool, input, outcome);

/** Ends the turn with these figures, or with this error. */
export const results =
  (result: FakeResult): Step =>
  (turn) =>
    turn.result(result);

/** The process dies in mid-turn. Default: as by `kill -9`. */
export const crashes =
  (how: FakeCrash = { signal: "SIGKILL" }): Step =>
  (turn) =>
    turn.crash(how);

/** The process says nothing more, until it is killed or the turn is interrupted. */
export const stalls = (): Step => (turn) => turn.hang();

/** The API's answer is no success: `{ status: 529 }`, `{ status: 401 }`, … */
export const fails =
  (error: FakeApiError): Step =>
  (turn) =>
    turn.fail(error);

/** The usage limit is reached until `resetsAt`, in milliseconds since the epoch; the turn ends with that. */
export const hitsLimit =
  (resetsAt: number): Step =>
  async (turn) => {
    const seconds = Math.round(resetsAt / 1_000);
    const info = { status: "rejected", resetsAt: seconds, rateLimitType: "five_hour" };
    await turn.emit({ type: "rate_limit_event", rate_limit_info: info });
    await turn.fail({ status: 429, message: "usage limit reached" });
  };

/**
 * Says a text piece by piece.
 *
 * @param between is waited for before each piece but the first: what makes the stream slow
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
 * A turn in which these things happen one after the other. What comes after the last one is a result that went well.
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
 * The first turn goes as the first script says, the second as the second, and so on; those after the last as that says.
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
