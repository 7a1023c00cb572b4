import type { SessionConversation } from "./context/session-conversation.ts";
import type { SessionView } from "./context/session-view.ts";
import { isNothing } from "./conversation/granted.ts";
import type { SessionSettings } from "./options/session-settings.ts";
import type { SessionProcess } from "./process/session-process.ts";
import type { Dispatcher } from "./turns/dispatcher.ts";

/** The session that forgets. */
interface ForgettingSession {
  readonly settings: SessionSettings;
  readonly conversation: SessionConversation;
  readonly view: SessionView;
  readonly process: SessionProcess;
  readonly dispatcher: Dispatcher;
  /** Resolves once the process is up, or none will start. */
  settled(): Promise<unknown>;
  /** Runs `work` with a process, waiting for one if necessary. */
  withProcess(what: string, limitMs: number, work: () => Promise<void>): Promise<void>;
}

/** How a session forgets its conversation, and what lies in its own directory. */
export class Forgetting {
  readonly #session: ForgettingSession;

  constructor(session: ForgettingSession) {
    this.#session = session;
  }

  /** Whether there is nothing to forget: the conversation is empty, nothing runs, and no cleanup is due. */
  get isDone(): boolean {
    const { conversation, dispatcher, process, view } = this.#session;
    const rests = !dispatcher.busy && dispatcher.waiting === 0 && view.backgroundTasks === 0;
    const { now, granted, clearing } = conversation;
    return rests && now.kind === "new" && isNothing(granted) && !clearing && !process.emptiesFirst;
  }

  /** Makes the next life begin with an empty conversation. Returns a function: whether no life has begun since. */
  clearNext(): () => boolean {
    return this.#session.conversation.clearNext();
  }

  /**
   * Empties the session's own directory, if it has one, before the next process starts. Until then there is something to
   * forget.
   */
  emptyFirst(): void {
    this.#session.process.emptyFirst();
  }

  /**
   * Begins an empty conversation, in an empty directory if the session has its own, and replaces a running process
   * within its life. Resolves once that is done, or no process will start. No turn may run or wait.
   *
   * @throws CastellanError `SESSION_QUARANTINED` if the directory cannot be emptied
   */
  async startAfresh(): Promise<void> {
    const { conversation, process, settings } = this.#session;
    conversation.clearNext();
    process.emptyFirst();
    await process.settled();
    const { activation } = process;
    if (activation === undefined) {
      conversation.clearIfDue();
      // Starting the process fails with the reason and quarantines the session.
      await process.emptyIfDue().catch(() => this.#session.withProcess("wake", settings.queueTimeout, async () => {}));
    } else {
      if (process.state === "up") process.replace();
      await activation.exited;
    }
    await this.#session.settled();
  }
}
