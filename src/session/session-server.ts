import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { Activation } from "../claude/activation.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { formatName } from "../names.ts";
import type { Shutdown } from "../supervision/child-spec.ts";
import {
  type Conversation,
  type ConversationEvent,
  conversationStart,
  firstConversation,
  nextConversation,
} from "./conversation.ts";
import { Dispatcher, type SessionDeps } from "./dispatcher.ts";
import { endingStages } from "./ending.ts";
import { Incarnation } from "./incarnation.ts";
import { Liveness, type Work } from "./liveness.ts";
import { type SessionSettings, type TurnOptions, turnSettings } from "./options.ts";
import { checkPrompt } from "./prompt.ts";
import { childExitOf, exitOfError } from "./session-exit.ts";
import { nextSessionState, type SessionEvent, type SessionState, type Stopped } from "./session-state.ts";
import type { SessionStatus } from "./session-status.ts";
import type { TurnRecord } from "./turn-record.ts";

/**
 * A session from the inside: it brings processes up when its supervisor begins a new life of it, gives them its
 * conversation, and hands them its turns.
 */
export class SessionServer {
  #settings: SessionSettings;
  readonly dispatcher: Dispatcher;
  readonly #who: string;
  readonly #deps: SessionDeps;
  #state: SessionState = { name: "starting" };
  #conversation: Conversation;
  #activation: Activation | undefined;
  #pid: number | undefined;
  /** The start of the current life; settles when its process is up or has failed to come up. */
  #coming: Promise<void> = Promise.resolve();
  #toForget = false;
  #draining = false;
  #activations = 0;
  #restarts = 0;
  #lastSignOfLife: number | undefined;
  /** The same on the monotonic clock. */
  #lastWord = 0;
  #liveness: Liveness | undefined;
  #lastExit: ExitRecord | undefined;
  #settled: PromiseWithResolvers<SessionState> = Promise.withResolvers();

  constructor(settings: SessionSettings, deps: SessionDeps) {
    this.#settings = settings;
    this.#deps = deps;
    this.#who = `session ${formatName(settings.name)}`;
    this.#conversation = firstConversation(settings.sdk, deps.newId);
    this.dispatcher = new Dispatcher(this.#who, settings, deps, {
      turnStarted: () => this.#apply({ type: "turn_started" }),
      turnEnded: () => {
        this.#apply({ type: "turn_ended" });
        this.#held();
      },
      conversation: (event) => this.#converse(event),
      held: () => this.#held(),
      fault: (fault) => void this.#activation?.kill(fault),
    });
  }

  get settings(): SessionSettings {
    return this.#settings;
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Begins a new life. Returns at once; the process comes up meanwhile. */
  begin(): Incarnation {
    if (this.#toForget) this.#converse({ type: "forgotten", freshId: this.#deps.newId() });
    this.#toForget = false;
    this.#apply({ type: "begin" });
    const incarnation = new Incarnation((shutdown) => this.#endProcess(shutdown));
    this.#coming = this.#bringUp(incarnation);
    return incarnation;
  }

  /** Takes up changed settings; what shapes a process, the next process. */
  reconfigure(settings: SessionSettings): void {
    this.#settings = settings;
    this.dispatcher.reconfigure(settings);
  }

  /**
   * Tells the process what of its settings it can take up while it runs: model and permission mode.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`
   */
  async applyLive(): Promise<void> {
    const { model, permissionMode } = this.settings.sdk;
    if (model !== undefined) await this.#activation?.control("set_model", (sdk) => sdk.setModel(model));
    if (permissionMode === undefined) return;
    await this.#activation?.control("set_permission_mode", (sdk) => sdk.setPermissionMode(permissionMode));
  }

  /** Accepts no more turns; resolves with their number when those that it has have ended. */
  drain(): Promise<number> {
    this.#draining = true;
    return this.dispatcher.finish();
  }

  /** Makes the next life begin with an empty conversation. */
  forget(): void {
    this.#toForget = true;
  }

  /**
   * Accepts a turn.
   *
   * @throws CastellanError `INVALID_OPTIONS`, `SESSION_QUARANTINED`, `SESSION_STOPPED`, `SUPERVISOR_STOPPED`,
   * `SESSION_BUSY`, `MAILBOX_FULL`, `TURN_CANCELLED`
   */
  submit(prompt: string, options: TurnOptions): TurnRecord {
    checkPrompt(prompt, this.#who);
    const settings = turnSettings(options, this.settings);
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#draining) {
      throw new CastellanError("SUPERVISOR_STOPPED", `${this.#who} takes no more turns; its supervisor is draining.`);
    }
    return this.dispatcher.accept(prompt, settings);
  }

  /** Resolves with the state as soon as the session's process is up, or it is clear that none will come up. */
  settled(): Promise<SessionState> {
    return this.#settled.promise;
  }

  retryAt(at: number): void {
    this.#apply({ type: "retry", at });
  }

  /** Supervision has given up on the session. Its turns end, and new ones are refused until it is restarted by hand. */
  quarantine(lastExits: readonly ExitRecord[]): void {
    this.#apply({ type: "quarantine", lastExits });
    this.#dismiss();
  }

  /** Ends the session for its callers; its process is ended by the supervisor. */
  close(as: Stopped): void {
    this.#apply({ type: "stop", as });
    this.#dismiss();
  }

  status(): SessionStatus {
    const { name } = this.settings;
    const retryAt = this.#state.name === "restarting" ? this.#state.retryAt : undefined;
    return {
      name,
      state: this.#state.name,
      ...(this.#pid === undefined ? {} : { pid: this.#pid }),
      ...(this.#activation === undefined ? {} : { startedAt: this.#activation.startedAt }),
      conversationId: this.#conversation.id,
      activation: this.#activations,
      ...(this.#lastSignOfLife === undefined ? {} : { lastSignOfLife: this.#lastSignOfLife }),
      ...(this.dispatcher.wait === undefined ? {} : { waitingFor: this.dispatcher.wait }),
      mailbox: this.dispatcher.waiting,
      restarts: this.#restarts,
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
      ...(retryAt === undefined ? {} : { retryAt }),
    };
  }

  async #bringUp(incarnation: Incarnation): Promise<void> {
    try {
      const activation = await this.#activate(incarnation.cancelled);
      this.#activation = activation;
      void activation.exited.then((exit) => this.#gone(incarnation, exit));
      this.#apply({ type: "ready" });
      this.#held();
      this.#liveness = new Liveness(
        activation,
        this.#deps.clock,
        () => this.settings.stallTimeoutMs,
        () => this.#work(),
      );
      if (!incarnation.stopping) this.dispatcher.attach(activation);
    } catch (error) {
      this.#pid = undefined;
      if (!incarnation.stopping) this.#exit(incarnation, exitOfError(error, this.#deps.clock));
    }
  }

  /** A process with the conversation as it can be had. */
  async #activate(signal: AbortSignal): Promise<Activation> {
    for (;;) {
      try {
        return await this.#start(signal);
      } catch (error) {
        if (signal.aborted || !this.#adapt(error)) throw error;
      }
    }
  }

  #start(signal: AbortSignal): Promise<Activation> {
    this.#activations++;
    const { sdk: options, apiKey, inheritEnv } = this.settings;
    const request = {
      id: this.#deps.newId(),
      who: this.#who,
      options,
      apiKey,
      inheritEnv,
      conversation: conversationStart(this.#conversation),
      signal,
      onMessage: (message: SDKMessage) => this.#receive(message),
      onSpawn: (pid: number | undefined) => {
        this.#pid = pid;
      },
    };
    return Activation.start(request, this.#deps.clock);
  }

  /** Whether `error` was about the conversation, and another start can do better with it. */
  #adapt(error: unknown): boolean {
    const { kind } = this.#conversation;
    const exit = exitOfError(error, this.#deps.clock);
    if (exit.class === "conversation_missing" && kind === "kept") {
      if (this.#conversation.cut) this.#converse({ type: "cut_refused" });
      else if (this.#conversation.empty || this.settings.onMissingConversation === "fresh") {
        this.#converse({ type: "forgotten", freshId: this.#deps.newId() });
      } else return false;
      return true;
    }
    if (exit.class === "conversation_exists" && kind === "new") {
      this.#converse({ type: "found" });
      return true;
    }
    return false;
  }

  #receive(message: SDKMessage): void {
    this.#lastSignOfLife = this.#deps.clock.now();
    this.#lastWord = this.#deps.clock.monotonic();
    // Claude Code's own `/clear` goes on in another conversation; the message that says so names yet another id.
    if (message.type === "system" && message.subtype === "init" && message.session_id !== this.#conversation.id) {
      this.#converse({ type: "moved", id: message.session_id });
    }
    this.dispatcher.receive(message);
  }

  #work(): Work {
    const { busy, since, openTools } = this.dispatcher.work;
    const silentMs = this.#deps.clock.monotonic() - Math.max(since, this.#lastWord);
    return { busy, waitsFor: openTools + (this.#activation?.hostCalls ?? 0), silentMs };
  }

  #gone(incarnation: Incarnation, exit: ExitRecord): void {
    this.#liveness?.stop();
    this.#activation = undefined;
    this.#pid = undefined;
    this.dispatcher.detach(exit);
    if (incarnation.stopping) this.#lastExit = exit;
    else this.#exit(incarnation, exit);
  }

  #exit(incarnation: Incarnation, exit: ExitRecord): void {
    this.#lastExit = exit;
    this.#restarts++;
    this.#apply({ type: "exited" });
    incarnation.exit(childExitOf(exit));
  }

  async #endProcess(shutdown: Shutdown): Promise<void> {
    this.dispatcher.retire();
    await this.#coming;
    await this.#activation?.end(endingStages(shutdown, this.dispatcher.busy));
  }

  #held(): void {
    const { wait } = this.dispatcher;
    this.#apply(wait === undefined ? { type: "release" } : { type: "hold", wait });
  }

  #converse(event: ConversationEvent): void {
    this.#conversation = nextConversation(this.#conversation, event);
  }

  #apply(event: SessionEvent): void {
    const before = this.#state;
    this.#state = nextSessionState(before, event);
    const { name } = this.#state;
    const settled = name !== "starting" && name !== "restarting";
    if (settled) this.#settled.resolve(this.#state);
    else if (before.name !== "starting" && before.name !== "restarting") this.#settled = Promise.withResolvers();
  }

  #dismiss(): void {
    const refusal = this.refusal();
    if (refusal !== undefined) this.dispatcher.dismiss(refusal);
  }

  /** Why the session takes no turns, if it does not. */
  refusal(): CastellanError | undefined {
    const state = this.#state;
    if (state.name === "stopped") {
      return state.as === "supervisor"
        ? new CastellanError("SUPERVISOR_STOPPED", `${this.#who} has ended with its supervisor.`)
        : new CastellanError("SESSION_STOPPED", `${this.#who} ${this.#ending()}.`);
    }
    if (state.name !== "quarantined") return undefined;
    const { lastExits } = state;
    const last = lastExits.at(-1)?.message ?? "unknown";
    const message = `${this.#who} has been set aside after ${lastExits.length} failed starts or crashes, the last: ${last}. Mend the cause and call \`restartSession\`.`;
    return new CastellanError("SESSION_QUARANTINED", message, { details: { lastExits } });
  }

  /** How a session that is no more has ended: a temporary one ends with its first process. */
  #ending(): string {
    const exit = this.settings.restart === "temporary" ? this.#lastExit : undefined;
    return exit === undefined || exit.class === "done" ? "has been stopped" : `has ended: ${exit.message}`;
  }
}
