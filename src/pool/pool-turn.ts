import { z } from "zod";
import type { OptionProblem } from "../errors.ts";
import { type Prompt, promptText } from "../session/options/prompt.ts";
import { type TurnOptions, turnSettings } from "../session/options/turn-options.ts";
import { invalidOptions, validate } from "../session/options/validation.ts";
import { PendingTurn, withdrawnError } from "../session/streams/pending-turn.ts";
import type { TurnGate } from "../session/streams/turn-gate.ts";
import type { Member } from "./member.ts";
import type { PoolServer } from "./pool-server.ts";
import { callsOf } from "./turn-calls.ts";
import type { Waiter } from "./wait-queue.ts";

/**
 * Options of a turn of a pool. `timeout` counts from the call. `queueTimeout` also limits the wait for a member;
 * `whenBusy: "reject"` does not wait.
 */
export interface PoolTurnOptions<Structured = unknown> extends TurnOptions<Structured> {
  /**
   * The key by which a `"consistent_hash"` balancer, or one of your own, picks a member: for example a user id. Only for pools.
   */
  key?: string;
}

export const keySchema: z.ZodType<string | undefined> = z.string().min(1).optional();

const keyedSchema = z.strictObject({ key: keySchema });

/**
 * Accepts a turn that runs on a member once one is free.
 *
 * @param gate what the turn has to pass once a member is reserved for it
 * @throws CastellanError as `Pool.stream`
 */
export function submitToPool<Structured>(
  server: PoolServer,
  prompt: Prompt,
  options: PoolTurnOptions<Structured>,
  gate?: TurnGate,
): PendingTurn {
  const { clock, newId } = server.host;
  const { key, ...own } = options;
  validate(keyedSchema, { key }, `turn of ${server.who}`);
  const settings = turnSettings(own, server.common);
  // The caller may change its blocks while the turn waits.
  const { blocks } = promptText(prompt, settings.verbatimPrompts, server.who);
  const problems = problemsOf(settings);
  if (problems.length > 0) throw invalidOptions(`turn of ${server.who}`, problems);
  const { timeoutMs = Number.POSITIVE_INFINITY, queueTimeoutMs, whenBusy, signal } = settings;
  const id = newId();
  if (signal?.aborted) throw withdrawnError(server.settings.name, id, signal.reason);
  const since = clock.monotonic();
  const waitMs = whenBusy === "reject" ? 0 : Math.min(timeoutMs, queueTimeoutMs);
  const turn = new PendingTurn(id, settings, () => {
    gate?.close();
    server.withdraw(waiter);
  });
  const waiter: Waiter = {
    id,
    wants: "turn",
    key,
    timeoutMs: waitMs,
    signal,
    grant: (member) => {
      const done = member.use === "lent" ? () => void server.giveBack(member, "turn_ended") : () => {};
      const begin = (): void => {
        const leftMs = Math.max(1, timeoutMs - (clock.monotonic() - since));
        const rest = timeoutMs === Number.POSITIVE_INFINITY ? own : { ...own, timeout: leftMs };
        assign(turn, member, blocks ?? prompt, rest, done);
      };
      if (gate === undefined) begin();
      else void gate.reach().then((opens) => (opens ? begin() : done()));
    },
    start: (far) => {
      const { source, calls } = far(blocks ?? prompt, own);
      turn.assign(source, calls);
    },
    refuse: (error) => turn.fail(error),
    cancelled: (reason) => turn.fail(withdrawnError(server.settings.name, id, reason)),
  };
  if (server.far === undefined) server.enqueue(waiter);
  else waiter.start?.(server.far);
  void gate?.passed.then((opens) => {
    if (opens) return;
    server.withdraw(waiter);
    turn.fail(withdrawnError(server.settings.name, id));
  });
  return turn;
}

/** Runs a turn on a member. Calls `done` once the turn is over: the member may have been lent for it. */
function assign(turn: PendingTurn, { server }: Member, prompt: Prompt, options: TurnOptions, done: () => void): void {
  try {
    const record = server.submit(prompt, options, { id: turn.id });
    turn.assign(record, callsOf(server, record));
    record.result.then(done, done);
  } catch (error) {
    turn.fail(error);
    done();
  }
}

/** Returns what is wrong with a turn's options for a pool. */
function problemsOf({ idempotencyKey, whenBusy }: ReturnType<typeof turnSettings>): OptionProblem[] {
  const problems: OptionProblem[] = [];
  if (idempotencyKey !== undefined) {
    const message = "cannot be used with a turn of a pool, only with a job; see `Pool.enqueue`";
    problems.push({ field: "idempotencyKey", message });
  }
  if (whenBusy === "interrupt" || whenBusy === "rollback" || whenBusy === "steer") {
    const message = 'would affect another caller\'s turn; a pool accepts "enqueue" and "reject"';
    problems.push({ field: "whenBusy", message });
  }
  return problems;
}
