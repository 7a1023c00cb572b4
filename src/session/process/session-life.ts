import type { Child, ChildExit, ExitListener, Shutdown } from "../../supervision/child-spec.ts";

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
  readonly #process: LivingProcess;
  #listener: ExitListener | undefined;
  /** How the life has ended. */
  #exit: ChildExit | undefined;
  #cancel: AbortController | undefined;
  #stopping: Promise<void> | undefined;

  constructor(process: LivingProcess) {
    this.#process = process;
  }

  get exited(): Promise<ChildExit> {
    return new Promise((resolve) => this.onExit({ exited: resolve }));
  }

  onExit(listener: ExitListener): void {
    const before = this.#listener;
    this.#listener = before === undefined ? listener : new Both(before, listener);
    if (this.#exit !== undefined) tell(listener, this.#exit);
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
    if (this.#exit !== undefined) return;
    this.#exit = exit;
    if (this.#listener !== undefined) tell(this.#listener, exit);
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
    this.exit({ reason: "shutdown" });
  }
}

/** Two listeners: the supervisor is the only one as a rule. */
class Both implements ExitListener {
  readonly #listeners: readonly ExitListener[];

  constructor(...listeners: readonly ExitListener[]) {
    this.#listeners = listeners;
  }

  exited(exit: ChildExit): void {
    for (const listener of this.#listeners) listener.exited(exit);
  }
}

function tell(listener: ExitListener, exit: ChildExit): void {
  queueMicrotask(() => listener.exited(exit));
}

/** One for all: ten thousand sessions may end at a time, and a stack would say nothing. */
const NO_LONGER_WANTED = new Error("no longer wanted");
