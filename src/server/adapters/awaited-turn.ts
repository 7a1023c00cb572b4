import { type Clock, pause } from "../../clock.ts";
import type { Approval } from "../../wire/approval.ts";
import type { Turn } from "../../wire/turn.ts";
import type { McpSession } from "./mcp-port.ts";

/** How to wait for a turn. */
export interface TurnWait {
  readonly clock: Clock;
  /** How long to wait, in milliseconds. */
  readonly ms: number;
  /** Whether to stop waiting once a permission request of the turn is pending, which the caller can then answer. */
  readonly untilApproval: boolean;
  /** Ends the wait without an error: the server drains. */
  readonly leaving: AbortSignal | undefined;
  /** Ends the wait with an error: the caller has cancelled it. */
  readonly cancelled: AbortSignal;
  /** Called after a second and then every five seconds, with a sentence. */
  readonly progress: (message: string) => void;
}

/** A turn, and the permission requests that it waits for. */
export interface AwaitedTurn {
  readonly turn: Turn;
  readonly approvals: readonly Approval[];
}

/** How often the wait looks for permission requests, in milliseconds. */
const LOOK_MS = 1_000;

/** Every how many looks the wait tells its progress, beginning with the first. */
const LOOKS = 5;

/**
 * Waits for a turn: until it ends, the time is over, it waits for a permission, or the server drains.
 *
 * @throws the reason of `cancelled`
 */
export async function awaitedTurn(session: McpSession, id: string, wait: TurnWait): Promise<AwaitedTurn> {
  const { clock, ms, untilApproval, leaving, cancelled, progress } = wait;
  const enough = new AbortController();
  const ends = [enough.signal, cancelled, ...(leaving === undefined ? [] : [leaving])];
  const signal = AbortSignal.any(ends);
  const since = clock.monotonic();
  const watch = async (): Promise<void> => {
    for (let looks = 1; !signal.aborted; looks++) {
      const left = ms - (clock.monotonic() - since);
      await pause(clock, Math.max(0, Math.min(LOOK_MS, left)), { signal });
      if (clock.monotonic() - since >= ms) return enough.abort();
      const tells = looks % LOOKS === 1;
      if (!untilApproval && !tells) continue;
      // An outage of the server shows in the wait.
      const pending = await pendingOf(session, id).catch(() => []);
      if (untilApproval && pending.length > 0) return enough.abort();
      if (tells) progress(progressText(clock.monotonic() - since, pending));
    }
  };
  void watch();
  try {
    const turn = await session.wait(id, { signal });
    return { turn, approvals: [] };
  } catch (error) {
    cancelled.throwIfAborted();
    if (!signal.aborted) throw error;
    const [turn, approvals] = await Promise.all([session.turn(id), pendingOf(session, id)]);
    return { turn, approvals };
  } finally {
    enough.abort();
  }
}

async function pendingOf(session: McpSession, turn: string): Promise<readonly Approval[]> {
  return (await session.approvals()).filter(({ turnId }) => turnId === turn);
}

function progressText(ms: number, [first]: readonly Approval[]): string {
  const time = `${Math.round(ms / 1_000)} s`;
  return first === undefined
    ? `The session has worked for ${time}.`
    : `The session waits for permission to use ${first.tool} (${time}).`;
}
