import type { WorkerOptions } from "../../src/application/options/child-options.ts";
import type { Child, ChildExit, Shutdown } from "../../src/supervision/child-spec.ts";

/** A worker whose lives a test holds in its hand. */
export class Service {
  readonly id: string;
  /** What happened to it, and to others that write into the same diary: `db started`, `db stopped`. */
  readonly diary: string[];
  /** What its next starts throw, one each. */
  readonly failures: unknown[] = [];
  /** How many times it has been started, whatever came of it. */
  starts = 0;
  #exit: PromiseWithResolvers<ChildExit> = Promise.withResolvers();

  constructor(id: string, diary: string[] = []) {
    this.id = id;
    this.diary = diary;
  }

  /** It as a child, with the same `start` each time. */
  child(keeping: Omit<WorkerOptions, "id" | "start"> = {}): WorkerOptions {
    return { id: this.id, start: this.#start, ...keeping };
  }

  /** Ends its present life. */
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
    this.diary.push(`${this.id} started`);
    const stop = async (_: Shutdown): Promise<void> => {
      this.diary.push(`${this.id} stopped`);
      life.resolve({ reason: "shutdown" });
    };
    return { exited: life.promise, stop };
  };
}
