import type { Child, ChildExit, Shutdown } from "../../supervision/child-spec.ts";

/**
 * One life of a session, from its start by a supervisor to its end. It is the supervisor's child; the session, with its
 * name, mailbox and conversation, continues in the next life.
 */
export class SessionLife implements Child {
  readonly exited: Promise<ChildExit>;
  /** Aborts when this life is to end before its process is up. */
  readonly cancelled: AbortSignal;
  readonly #cancel = new AbortController();
  readonly #end: (shutdown: Shutdown) => Promise<void>;
  readonly #exit: PromiseWithResolvers<ChildExit> = Promise.withResolvers();
  #stopping: Promise<void> | undefined;

  /** `end` ends the process of this life, if there is one, and resolves once it is gone. */
  constructor(end: (shutdown: Shutdown) => Promise<void>) {
    this.#end = end;
    this.exited = this.#exit.promise;
    this.cancelled = this.#cancel.signal;
  }

  /** Whether a stop was requested. */
  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Ends the life without a request. */
  exit(exit: ChildExit): void {
    this.#exit.resolve(exit);
  }

  /** Ends the life. Repeated calls share the first ending; `brutal_kill` shortens it. */
  stop(shutdown: Shutdown): Promise<void> {
    if (this.#stopping !== undefined && shutdown === "brutal_kill") void this.#end(shutdown);
    this.#stopping ??= this.#stop(shutdown);
    return this.#stopping;
  }

  async #stop(shutdown: Shutdown): Promise<void> {
    this.#cancel.abort(NO_LONGER_WANTED);
    await this.#end(shutdown);
    this.#exit.resolve({ reason: "shutdown" });
  }
}

/** One for all: ten thousand sessions may end at a time, and a stack would say nothing. */
const NO_LONGER_WANTED = new Error("no longer wanted");
