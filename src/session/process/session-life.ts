import type { Child, ChildExit, Shutdown } from "../../supervision/child-spec.ts";

/** The process of a life. */
export interface LivingProcess {
  /** Ends the process of this life, if there is one. Resolves once it is gone. */
  end(life: SessionLife, shutdown: Shutdown): Promise<void>;
}

/**
 * One life of a session, from its start by a supervisor to its end. It is the supervisor's child; the session, with its
 * name, mailbox and conversation, continues in the next life.
 */
export class SessionLife implements Child {
  readonly exited: Promise<ChildExit>;
  readonly #exit: (exit: ChildExit) => void;
  readonly #process: LivingProcess;
  #cancel: AbortController | undefined;
  #stopping: Promise<void> | undefined;

  constructor(process: LivingProcess) {
    this.#process = process;
    const { promise, resolve } = Promise.withResolvers<ChildExit>();
    this.exited = promise;
    this.#exit = resolve;
  }

  /** Aborts when this life is to end before its process is up. */
  get cancelled(): AbortSignal {
    this.#cancel ??= new AbortController();
    if (this.stopping) this.#cancel.abort(NO_LONGER_WANTED);
    return this.#cancel.signal;
  }

  /** Records that no start of a process is pending. */
  started(): void {
    this.#cancel = undefined;
  }

  /** Whether a stop was requested. */
  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Ends the life without a request. */
  exit(exit: ChildExit): void {
    this.#exit(exit);
  }

  /** Ends the life. Repeated calls share the first ending; `brutal_kill` shortens it. */
  stop(shutdown: Shutdown): Promise<void> {
    if (this.#stopping !== undefined && shutdown === "brutal_kill") void this.#process.end(this, shutdown);
    this.#stopping ??= this.#stop(shutdown);
    return this.#stopping;
  }

  async #stop(shutdown: Shutdown): Promise<void> {
    this.#cancel?.abort(NO_LONGER_WANTED);
    await this.#process.end(this, shutdown);
    this.#exit({ reason: "shutdown" });
  }
}

/** One for all: ten thousand sessions may end at a time, and a stack would say nothing. */
const NO_LONGER_WANTED = new Error("no longer wanted");
