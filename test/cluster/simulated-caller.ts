import { Caller } from "../../src/cluster/caller.ts";
import { GlobalTurn } from "../../src/cluster/global-turn.ts";
import type { Engine } from "../../src/cluster/protocol/engine.ts";
import type { Transport } from "../../src/cluster/protocol/transport.ts";
import { Router } from "../../src/cluster/router.ts";
import { CastellanError } from "../../src/errors.ts";
import { keyedTurnId } from "../../src/session/turns/turn-id.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";
import type { SimulatedTime } from "./simulated-time.ts";
import type { PlannedAsk } from "./simulation-plan.ts";

/** What a caller learned about its turn. */
export interface SimulatedCall {
  readonly ask: PlannedAsk;
  readonly turnId: string;
  readonly machine: SimulatedMachine;
  readonly askedAt: number;
  /** When the caller learned the outcome. */
  outcomeAt: number | undefined;
  /** When the turn was acknowledged. */
  acceptedAt: number | undefined;
  /** Whether the turn was found, once that is known. */
  found: boolean | undefined;
  /** The reply's text or the error's code, and how often the caller received an outcome. */
  outcome: { readonly text: string } | { readonly code: string; readonly message: string } | undefined;
  times: number;
  /** The messages that were read, and the error that ended the reading. */
  readonly messages: string[];
  /** The attempt of each message. */
  readonly attempts: number[];
  unread: string | undefined;
  /** The number of pending operations: reading, and waiting for the result. */
  open: number;
}

/** A caller on one machine. */
export class SimulatedCaller {
  readonly machine: SimulatedMachine;
  readonly #router: Router;
  readonly #transport: Transport;
  readonly #caller: Caller;
  readonly #patienceMs: number;
  readonly #random: () => number;
  readonly #onOutcome: (record: SimulatedCall) => void;
  readonly #time: SimulatedTime;
  /** The number of unanswered calls. */
  calls = 0;

  constructor(
    machine: SimulatedMachine,
    engine: Engine,
    transport: Transport,
    random: () => number,
    patienceMs: number,
    time: SimulatedTime,
    onOutcome: (record: SimulatedCall) => void,
  ) {
    this.#time = time;
    this.machine = machine;
    this.#transport = transport;
    this.#patienceMs = patienceMs;
    this.#random = random;
    this.#onOutcome = onOutcome;
    this.#router = new Router(engine, machine);
    this.#caller = new Caller({ router: this.#router, transport, clock: machine, patienceMs });
  }

  ask(ask: PlannedAsk): SimulatedCall {
    const { key, turn: idempotencyKey, looks, messages, timeoutMs, abortAfterMs, interruptAfterMs } = ask;
    const turnId = keyedTurnId(key, idempotencyKey);
    const abort = new AbortController();
    const asked = looks ? undefined : { prompt: `prompt of ${idempotencyKey}`, idempotencyKey, timeoutMs };
    const turn = new GlobalTurn(
      { key, turnId, ask: asked, messages, output: undefined, signal: abort.signal },
      {
        router: this.#router,
        transport: this.#transport,
        clock: this.machine,
        random: this.#random,
        patienceMs: this.#patienceMs,
        cancel: async (of, id) => void (await this.#counted(this.#caller.call(of, "cancel", id))),
      },
    );
    const record: SimulatedCall = {
      ask,
      turnId,
      machine: this.machine,
      askedAt: this.#time.now,
      acceptedAt: undefined,
      outcomeAt: undefined,
      found: undefined,
      outcome: undefined,
      times: 0,
      messages: [],
      attempts: [],
      unread: undefined,
      open: 2,
    };
    void this.#hear(turn, record);
    void this.#read(turn, record);
    if (abortAfterMs !== undefined) this.#within(turn, abortAfterMs, () => abort.abort());
    if (interruptAfterMs !== undefined) this.#within(turn, interruptAfterMs, () => void turn.interrupt());
    return record;
  }

  /** Makes the session's node release it. */
  async move(key: string): Promise<void> {
    await this.#counted(this.#caller.call(key, "release")).catch(() => {});
  }

  #within(turn: GlobalTurn, ms: number, act: () => void): void {
    const timer = this.machine.schedule(ms, act);
    const stop = (): void => timer.cancel();
    turn.result.then(stop, stop);
  }

  async #counted<Value>(call: Promise<Value>): Promise<Value> {
    this.calls++;
    try {
      return await call;
    } finally {
      this.calls--;
    }
  }

  async #hear(turn: GlobalTurn, record: SimulatedCall): Promise<void> {
    turn.accepted.then(
      () => {
        record.acceptedAt = this.#time.now;
      },
      () => {},
    );
    turn.found.then(
      (found) => {
        record.found = found;
      },
      () => {},
    );
    const end = (outcome: NonNullable<SimulatedCall["outcome"]>): void => {
      record.outcome = outcome;
      record.outcomeAt = this.#time.now;
      record.times++;
      record.open--;
      this.#onOutcome(record);
    };
    await turn.result.then(
      ({ text }) => end({ text }),
      (error: unknown) => {
        if (!CastellanError.is(error)) throw error;
        end({ code: error.code, message: error.message });
      },
    );
  }

  async #read(turn: GlobalTurn, record: SimulatedCall): Promise<void> {
    let number = 0;
    try {
      for await (const batch of turn.log.batches()) {
        for (const message of batch) {
          const [block] = message.type === "assistant" ? message.message.content : [];
          record.messages.push(block?.type === "text" ? block.text : "?");
          record.attempts.push(turn.positionOf(number++).attempt);
        }
      }
    } catch (error) {
      record.unread = CastellanError.is(error) ? error.code : String(error);
    } finally {
      record.open--;
    }
  }
}
