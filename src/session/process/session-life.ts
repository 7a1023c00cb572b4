import type { Child, ChildExit, Shutdown } from "../../supervision/child-spec.ts";

/**
 * One life of a session, from its start by a supervisor to its end: what the supervisor holds. The session itself, its
 * name, mailbox and conversation, goes on to the next one.
 */
export class SessionLife implements Child {
  readonly exited: Promise<ChildExit>;
  /** Aborted when this life is to end before its process is up. */
  readonly cancelled: AbortSignal;
  readonly #cancel = new AbortController();
  readonly #end: (shutdown: Shutdown) => Promise<void>;
  readonly #exit: PromiseWithResolvers<ChildExit> = Promise.withResolvers();
  #stopping: Promise<void> | undefined;

  /** `end` ends the process of this life, if there is one, and resolves when it is gone. */
  constructor(end: (shutdown: Shutdown) => Promise<void>) {
    this.#end = end;
    this.exited = this.#exit.promise;
    this.cancelled = this.#cancel.signal;
  }

  /** Whether it has been asked to end. */
  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Its end came by itself. */
  exit(exit: ChildExit): void {
    this.#exit.resolve(exit);
  }

  /** A second call shares the first ending; one that kills shortens it. */
  stop(shutdown: Shutdown): Promise<void> {
    if (this.#stopping !== undefined && shutdown === "brutal_kill") void this.#end(shutdown);
    this.#stopping ??= this.#stop(shutdown);
    return this.#stopping;
  }

  async #stop(shutdown: Shutdown): Promise<void> {
    this.#cancel.abort(new Error("no longer wanted"));
    await this.#end(shutdown);
    this.#exit.resolve({ reason: "shutdown" });
  }
}
