import { type Clock, pause } from "../clock.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, isStorageFault } from "../errors.ts";
import { formatName, nameOfKey } from "../names.ts";
import { type CallMethod, isOnce } from "./protocol/call-methods.ts";
import { errorOf } from "./protocol/frames.ts";
import { RETRY } from "./protocol/retry.ts";
import { type Destination, type Transport, Unreachable } from "./protocol/transport.ts";
import type { FailedRoute, Routing } from "./router.ts";

export interface CallerDeps {
  readonly router: Routing;
  readonly transport: Transport;
  readonly clock: Clock;
  /** How long to look for the session's node before the call fails, in milliseconds. */
  readonly patienceMs: number;
}

/** Calls methods of sessions on the nodes that own them. */
export class Caller {
  readonly #deps: CallerDeps;
  readonly #closed = new AbortController();

  constructor(deps: CallerDeps) {
    this.#deps = deps;
  }

  /**
   * Calls a method of a session on its owner. A session without an owner is claimed first.
   *
   * @throws CastellanError as the method; `CLUSTER_UNAVAILABLE`, `DATABASE_UNAVAILABLE`
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
        // Throws the signal's reason rather than the failure that the abort caused.
        this.#closed.signal.throwIfAborted();
        failure = error;
        if (error instanceof Unreachable) {
          if (error.permanent) throw refused(key, method, error);
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

  /** Calls a method on this node, which may claim the session. @throws CastellanError as {@link Caller.call} */
  async callAt(to: Destination, key: string, method: CallMethod, ...args: readonly unknown[]): Promise<unknown> {
    this.#closed.signal.throwIfAborted();
    const request = { key, method, args, claim: true };
    const answer = await this.#deps.transport.call(to, request, this.#closed.signal).catch((error: unknown) => {
      this.#closed.signal.throwIfAborted();
      throw error instanceof Unreachable && error.unsent ? unsent(key, method, error) : uncertain(key, method, error);
    });
    if (answer.type === "answer") return answer.value;
    throw answer.type === "failed" ? errorOf(answer.error) : notThere(key, to);
  }

  /** Rejects pending and future calls with `cause`. */
  close(cause: CastellanError): void {
    this.#closed.abort(cause);
  }
}

/** Whether the route failed rather than the method. Such a call is retried. */
function isOfTheCluster(error: unknown): boolean {
  if (isStorageFault(error)) return true;
  return CastellanError.is(error, "CLUSTER_UNAVAILABLE") && error.details.reason === "no_node";
}

function notThere(key: string, { address }: Destination): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: the node at ${address} does not take the session.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "no_node" } });
}

function refused(key: string, method: CallMethod, cause: Error): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: its node refuses \`${method}\`: ${cause.message}`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
}

function unsent(key: string, method: CallMethod, cause: Error): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: its node could not be asked to \`${method}\`: ${cause.message}`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
}

function uncertain(key: string, method: CallMethod, cause: unknown): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const message = `global session ${formatName(nameOfKey(key))}: its node went away during \`${method}\`, which may or may not have taken effect. Check \`status()\`, and call again if it has not.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "uncertain" }, cause });
}

function unreachable(
  key: string,
  method: CallMethod,
  patienceMs: number,
  cause: unknown,
): CastellanError<"CLUSTER_UNAVAILABLE"> {
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  const message = `global session ${formatName(nameOfKey(key))}: no node answered \`${method}\` for ${formatDuration(patienceMs)}${why}.`;
  return new CastellanError("CLUSTER_UNAVAILABLE", message, { details: { reason: "unreachable" }, cause });
}
