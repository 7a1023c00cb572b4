import type { WorkerOptions } from "../../src/application/options/child-options.ts";
import type { Child, ChildExit, Shutdown } from "../../src/supervision/child-spec.ts";

/** A worker under the control of a test. */
export class Service {
  readonly id: string;
  /** Starts and stops, also of other services with the same log: `db started`, `db stopped`. */
  readonly log: string[];
  /** Errors of the next starts. */
  readonly failures: unknown[] = [];
  /** The number of starts, failed ones included. */
  starts = 0;
  #exit: PromiseWithResolvers<ChildExit> = Promise.withResolvers();

  constructor(id: string, log: string[] = []) {
    this.id = id;
    this.log = log;
  }

  /** Returns the child, with the same `start` each time. */
  child(keeping: Omit<WorkerOptions, "id" | "start"> = {}): WorkerOptions {
    return { id: this.id, start: this.#start, ...keeping };
  }

  /** Ends the current run. */
  exit(exit: ChildExit): void {
    this.#exit.resolve(exit);
  }

  crash(cause: unknown = new Error(`${this.id} crashed`)): void {
    this.exit({ reason: "abnormal", cause });
  }

  readonly #start = (): Child => {
    this.starts++;
    if (this.failures.length > 0) throw this.failures.shift();
    const life = Promise.withResolvers<ChildExit>();
    this.#exit = life;
    this.log.push(`${this.id} started`);
    const stop = async (_: Shutdown): Promise<void> => {
      this.log.push(`${this.id} stopped`);
      life.resolve({ reason: "shutdown" });
    };
    return { exited: life.promise, stop };
  };
}
