import type { Timer } from "../../src/clock.ts";
import { Unreachable } from "../../src/cluster/protocol/transport.ts";
import type { SimulatedMachine } from "./simulated-machine.ts";

/** The caller's end of a connection, with the values received so far, in order. */
export class SimulatedConnection<Value> {
  readonly #machine: SimulatedMachine;
  readonly #signal: AbortSignal;
  readonly #silenceMs: number;
  readonly #answersPings: () => boolean;
  readonly #closed: () => void;
  readonly #values: Value[] = [];
  #end: { readonly error?: Unreachable } | undefined;
  #more: PromiseWithResolvers<void> | undefined;
  #silence: Timer | undefined;
  #isOpen = true;

  /** `isThere` returns whether the other end would send a ping. `closed` is called once. */
  constructor(
    machine: SimulatedMachine,
    signal: AbortSignal,
    silenceMs: number,
    isThere: () => boolean,
    closed: () => void,
  ) {
    this.#machine = machine;
    this.#signal = signal;
    this.#silenceMs = silenceMs;
    this.#answersPings = isThere;
    this.#closed = closed;
    signal.addEventListener("abort", this.#abort);
    if (signal.aborted) this.#abort();
    this.#listen();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Returns the next value, or undefined at the end. @throws Unreachable if the connection broke */
  async next(): Promise<Value | undefined> {
    for (;;) {
      const value = this.#values.shift();
      if (value !== undefined) return value;
      if (this.#end?.error !== undefined) throw this.#end.error;
      if (this.#end !== undefined) return undefined;
      this.#more ??= Promise.withResolvers();
      await this.#more.promise;
    }
  }

  take(value: Value): void {
    if (this.#end !== undefined) return;
    this.#values.push(value);
    this.#listen();
    this.#wake();
  }

  end(): void {
    this.#over({});
  }

  /** Ends the connection with an error. Values received before are still returned. */
  break(why: string, unsent = false): void {
    this.#over({ error: new Unreachable(why, { unsent }) });
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#silence?.cancel();
    this.#signal.removeEventListener("abort", this.#abort);
    this.#closed();
  }

  readonly #abort = (): void => this.break("it was given up.");

  #over(end: { readonly error?: Unreachable }): void {
    this.#end ??= end;
    this.#silence?.cancel();
    this.#wake();
  }

  #wake(): void {
    this.#more?.resolve();
    this.#more = undefined;
  }

  #listen(): void {
    this.#silence?.cancel();
    if (this.#end !== undefined || !this.#isOpen) return;
    this.#silence = this.#machine.schedule(this.#silenceMs, () => {
      if (this.#answersPings()) this.#listen();
      else this.break("nothing was heard of it.");
    });
  }
}
