import { type Clock, pause } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, isStorageFault } from "../errors.ts";
import { formatName, nameOfKey } from "../names.ts";
import { type CallMethod, isOnce } from "./protocol/call-methods.ts";
import { errorOf } from "./protocol/frames.ts";
import { RETRY } from "./protocol/retry.ts";
import { type Destination, type Transport, Unreachable } from "./protocol/transport.ts";
import type { FailedRoute, Router } from "./router.ts";

export interface CallerDeps {
  readonly router: Router;
  readonly transport: Transport;
  readonly clock: Clock;
  /** How long a node that has the session is looked for in vain, in milliseconds, before the caller is told. */
  readonly patienceMs: number;
}

/** Asks the owners of sessions what is no turn. */
export class Caller {
  readonly #deps: CallerDeps;
  readonly #closed = new AbortController();

  constructor(deps: CallerDeps) {
    this.#deps = deps;
  }

  /**
   * Calls a method of a session, wherever that is; one that nobody has is brought to life.
   *
   * @throws CastellanError what the method throws; `CLUSTER_UNAVAILABLE`, `DATABASE_UNAVAILABLE`
   */
  async call(key: string, method: CallMethod, ...args: readonly unknown[]): Promise<unknown> {
    const { router, transport, clock, patienceMs } = this.#deps;
    this.#closed.signal.throwIfAborted();
    const until = clock.monotonic() + patienceMs;
    let failed: FailedRoute | undefined;
    let delay: number = RETRY.first;
    for (;;) {
      let failure: unknown;
      try {
        const { to, claim } = await router.locate(key, failed);
        failed = { boot: to.boot, answered: false };
        const answer = await transport.call(to, { key, method, args, claim }, this.#closed.signal);
        if (answer.type === "answer") {
          router.learn(key, to.boot);
          return answer.value;
        }
        if (answer.type === "failed") throw errorOf(answer.error);
        router.forget(key, to.boot);
        if (answer.owner !== undefined) router.learn(key, answer.owner.boot);
        failed = { boot: to.boot, answered: answer.owner === undefined };
      } catch (error) {
        // What it was called for is of no account any more: the signal has said why.
        this.#closed.signal.throwIfAborted();
        failure = error;
        if (error instanceof Unreachable) {
          if (error.hopeless) throw refused(key, method, error);
          if (isOnce(method) && !error.unsent) throw uncertain(key, method, error);
        } else if (!isOfTheCluster(error)) throw error;
      }
      if (clock.monotonic() >= until) {
        throw CastellanError.is(failure) ? failure : unreachable(key, method, patienceMs, failure);
      }
      await pause(clock, delay, { signal: this.#closed.signal });
      this.#closed.signal.throwIfAborted();
      delay = Math.min(RETRY.most, delay * RETRY.factor);
    }
  }

  /** Calls a method on this node, which may claim the session for it. @throws CastellanError as {@link Caller.call} */
  async callAt(to: Destination, key: string, method: CallMethod, ...args: readonly unknown[]): Promise<unknown> {
    this.#closed.signal.throwIfAborted();
    const request = { key, method, args, claim: true };
    const answer = await this.#deps.transport.call(to, request, this.#closed.signal).catch((error: unknown) => {
      this.#closed.signal.throwIfAborted();
      throw uncertain(key, method, error);
    });
    if (answer.type === "answer") return answer.value;
    throw answer.type === "failed" ? errorOf(answer.error) : notThere(key, to);
  }

  /** Calls that are under way end with this, and so do those that come later. */
  close(cause: CastellanError): void {
    this.#closed.abort(cause);
  }
}

/** Whether it was the way that failed, and not what was asked; then it may be otherwise in a moment. */
function isOfTheCluster(error: unknown): boolean {
  if (isStorageFault(error)) return true;
  return CastellanError.is(error, "CLUSTER_UNAVAILABLE") && error.details.reason === "no_node";
}

function notThere(key: string, { address }: Destination): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: the node at ${address} does not take it.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
}

function refused(key: string, method: CallMethod, cause: Error): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: its node cannot be asked to \`${method}\`: ${cause.message}`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
}

function uncertain(key: string, method: CallMethod, cause: unknown): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: its node went away while it was asked to \`${method}\`; it is not known whether that was done. Look at its \`status()\`, and ask again if it was not.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "uncertain" }, cause });
}

function unreachable(
  key: string,
  method: CallMethod,
  patienceMs: number,
  cause: unknown,
): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: no node that has it could be reached for ${formatDuration(patienceMs)} to \`${method}\`.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
}
