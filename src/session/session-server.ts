import type { Query, SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { Activation, CONTROL_MS } from "../claude/activation.ts";
import { buildEnvironment } from "../claude/environment.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError, type ExitRecord } from "../errors.ts";
import { formatName } from "../names.ts";
import type { Shutdown } from "../supervision/child-spec.ts";
import {
  type Conversation,
  type ConversationEvent,
  conversationStart,
  endIsUnknown,
  firstConversation,
  forkOptions,
  nextConversation,
} from "./conversation.ts";
import { lifecycleOf } from "./current-turn.ts";
import { Dispatcher, type SessionDeps } from "./dispatcher.ts";
import { endingStages } from "./ending.ts";
import { historyOf } from "./history.ts";
import { Incarnation } from "./incarnation.ts";
import { Liveness, type Work } from "./liveness.ts";
import { checkPrompt } from "./prompt.ts";
import { refusalOf } from "./refusal.ts";
import { childExitOf, exitOfError } from "./session-exit.ts";
import type { SessionSettings } from "./session-settings.ts";
import { nextSessionState, type SessionState, type SessionStateEvent, type Stopped } from "./session-state.ts";
import { type SessionStatus, waitingOf } from "./session-status.ts";
import { SessionView } from "./session-view.ts";
import { type TurnOptions, turnSettings } from "./turn-options.ts";
import type { TurnRecord } from "./turn-record.ts";

/**
 * A session from the inside: it brings processes up when its supervisor begins a new life of it, gives them its
 * conversation, and hands them its turns.
 */
export class SessionServer {
  #settings: SessionSettings;
  readonly dispatcher: Dispatcher;
  readonly view: SessionView;
  readonly #who: string;
  readonly #deps: SessionDeps;
  #state: SessionState = { name: "starting" };
  #conversation: Conversation;
  #activation: Activation | undefined;
  #pid: number | undefined;
  /** The start of the current life; settles when its process is up or has failed to come up. */
  #coming: Promise<void> = Promise.resolve();
  #toForget = false;
  /** Whether its process is being ended only to be replaced within the same life. */
  #renewing = false;
  #draining = false;
  #activations = 0;
  /** How many starts in a row have failed. */
  #failedStarts = 0;
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
    this.view = new SessionView(this.#who, settings.name, () => this.settings.approvalTimeoutMs ?? 0, deps);
    this.dispatcher = new Dispatcher(this.#who, settings, deps, {
      turnStarted: () => this.#apply({ type: "turn_started" }),
      turnEnded: () => {
        this.#apply({ type: "turn_ended" });
        this.#held();
      },
      conversation: (event) => this.#converse(event),
      held: () => this.#held(),
      renew: () => void this.#renew(),
      fault: (fault) => void this.#activation?.kill(fault),
    });
  }

  get settings(): SessionSettings {
    return this.#settings;
  }

  get state(): SessionState {
    return this.#state;
  }

  get conversation(): Conversation {
    return this.#conversation;
  }

  /** Begins a new life. Returns at once; the process comes up meanwhile. */
  begin(): Incarnation {
    this.#renewing = false;
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
    // A process that is on its way up was told the settings as they were when its start began.
    await this.#coming;
    const { model, permissionMode } = this.settings.sdk;
    if (model !== undefined) await this.#activation?.control("set_model", (sdk) => sdk.setModel(model));
    if (permissionMode === undefined) return;
    await this.#activation?.control("set_permission_mode", (sdk) => sdk.setPermissionMode(permissionMode));
  }

  /**
   * Asks the process something besides turns, as soon as it is up.
   *
   * @throws CastellanError `CONTROL_TIMEOUT`, `CONTROL_FAILED`, or why there is no process
   */
  async control<Answer>(what: string, request: (sdk: Query) => Promise<Answer>): Promise<Answer> {
    await this.#upWithin(what);
    const refusal = this.refusal();
    if (refusal !== undefined) throw refusal;
    if (this.#activation === undefined)
      throw new CastellanError("CONTROL_FAILED", `${this.#who}: "${what}" failed: the process is gone.`);
    return await this.#activation.control(what, request);
  }

  /** Keeps what a control has changed, so that the next process is told. */
  remember(changed: SessionSettings["sdk"]): void {
    this.reconfigure({ ...this.settings, sdk: { ...this.settings.sdk, ...changed } });
  }

  /** The SDK's options and the environment of a process as it would be started now. */
  get launch(): { readonly sdk: SessionSettings["sdk"]; readonly environment: Readonly<Record<string, string>> } {
    const { sdk, inheritEnv } = this.settings;
    return { sdk, environment: buildEnvironment({ host: process.env, inheritEnv, env: sdk.env }) };
  }

  /** Accepts no more turns; resolves with their number when those that it has have ended. */
  drain(): Promise<number> {
    this.#draining = true;
    return this.dispatcher.finish();
  }

  /** What another session has to begin with to know what this one does, up to the last turn that has ended. */
  get forkOptions(): Pick<SessionSettings["sdk"], "resume" | "forkSession" | "resumeSessionAt"> {
    return forkOptions(this.#conversation, this.dispatcher.busy);
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
  submit<Structured>(prompt: string, options: TurnOptions<Structured>): TurnRecord {
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
    this.#failedStarts = 0;
    this.#apply({ type: "quarantine", lastExits });
    this.#dismiss();
  }

  /** Ends the session for its callers; its process is ended by the supervisor. */
  close(as: Stopped): void {
    this.#apply({ type: "stop", as });
    this.#dismiss();
    if (this.#activation === undefined) this.#endEvents();
  }

  /** The last thing to tell of a session is how its process ended. */
  #endEvents(): void {
    if (this.#state.name === "stopped" && this.#state.as !== "child") this.view.events.end();
  }

  status(): SessionStatus {
    const { name } = this.settings;
    const retryAt = this.#state.name === "restarting" ? this.#state.retryAt : undefined;
    const waitingFor = waitingOf(this.view.approvals.pending, this.dispatcher.wait);
    return {
      name,
      state: this.view.state,
      ...(this.#pid === undefined ? {} : { pid: this.#pid }),
      ...(this.#activation === undefined ? {} : { startedAt: this.#activation.startedAt }),
      conversationId: this.#conversation.id,
      activation: this.#activations,
      ...(this.#lastSignOfLife === undefined ? {} : { lastSignOfLife: this.#lastSignOfLife }),
      ...(waitingFor === undefined ? {} : { waitingFor }),
      backgroundTasks: this.view.backgroundTasks,
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
      this.#failedStarts = 0;
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
      this.#failedStarts++;
      if (!incarnation.stopping) this.#exit(incarnation, exitOfError(error, this.#deps.clock));
    }
  }

  /** A process with the conversation as it can be had. */
  async #activate(signal: AbortSignal): Promise<Activation> {
    for (;;) {
      try {
        if (endIsUnknown(this.#conversation)) await this.#readEnd();
        return await this.#start(signal);
      } catch (error) {
        if (signal.aborted || !this.#adapt(error)) throw error;
      }
    }
  }

  #start(signal: AbortSignal): Promise<Activation> {
    this.#activations++;
    const { sdk, apiKey, inheritEnv, approvalTimeoutMs } = this.settings;
    const { canUseTool } = this.view.approvals;
    const request = {
      id: this.#deps.newId(),
      who: this.#who,
      options: approvalTimeoutMs === undefined ? sdk : { ...sdk, canUseTool },
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

  /** What cannot be read is not worth a start; it only means that a turn that is cut stays in the conversation. */
  async #readEnd(): Promise<void> {
    const last = await historyOf(this.#conversation, this.launch, {}).then(
      (said) => said.at(-1),
      () => undefined,
    );
    if (last !== undefined) this.#converse({ type: "read", lastUuid: last.uuid });
  }

  /** Whether `error` was about the conversation, and another start can do better with it. */
  #adapt(error: unknown): boolean {
    const { kind } = this.#conversation;
    const exit = exitOfError(error, this.#deps.clock);
    if (exit.class === "conversation_missing" && kind === "kept") {
      const { cut, lastUuid } = this.#conversation;
      // A cut that the options ask for is not ours to give up: the model would see what it was not to see.
      if (cut && lastUuid === this.settings.sdk.resumeSessionAt) return false;
      if (cut) this.#converse({ type: "cut_refused" });
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
    // What is said about the progress of prompts is told by the turns.
    const claimed = lifecycleOf(message) !== undefined;
    this.view.receive(message, this.dispatcher.receive(message) || claimed);
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
    this.view.processGone();
    this.dispatcher.detach(exit);
    this.view.tell({ type: "exit", exit });
    if (incarnation.stopping) {
      this.#lastExit = exit;
      // The next life may begin much later; until then nothing is up.
      if (this.#state.name !== "stopped" && this.#state.name !== "quarantined") this.#apply({ type: "begin" });
    } else if (this.#renewing) {
      this.#renewing = false;
      this.#coming = this.#bringUp(incarnation);
    } else this.#exit(incarnation, exit);
    this.#endEvents();
  }

  /** Replaces the process within the same life. */
  async #renew(): Promise<void> {
    this.#renewing = true;
    this.#apply({ type: "begin" });
    await this.#activation?.end(endingStages(this.settings.shutdown, false));
  }

  #exit(incarnation: Incarnation, exit: ExitRecord): void {
    this.#lastExit = exit;
    this.#restarts++;
    this.#apply({ type: "exited" });
    incarnation.exit(childExitOf(exit, this.#failedStarts));
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
    const { id } = this.#conversation;
    this.#conversation = nextConversation(this.#conversation, event);
    const conversationId = this.#conversation.id;
    if (conversationId !== id) this.view.tell({ type: "conversation", conversationId });
  }

  #apply(event: SessionStateEvent): void {
    const before = this.#state;
    this.#state = nextSessionState(before, event);
    const { name } = this.#state;
    this.view.show(this.#state);
    const settled = name !== "starting" && name !== "restarting";
    if (settled) this.#settled.resolve(this.#state);
    else if (before.name !== "starting" && before.name !== "restarting") this.#settled = Promise.withResolvers();
  }

  async #upWithin(what: string): Promise<void> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = this.#deps.clock.schedule(CONTROL_MS, () => {
      const message = `${this.#who}: "${what}" waited ${formatDuration(CONTROL_MS)} for a process, in vain.`;
      reject(new CastellanError("CONTROL_TIMEOUT", message));
    });
    await Promise.race([this.settled(), late]).finally(() => timer.cancel());
  }

  #dismiss(): void {
    const refusal = this.refusal();
    if (refusal !== undefined) this.dispatcher.dismiss(refusal);
  }

  /** Why the session takes no turns, if it does not. A temporary one ends with its first process. */
  refusal(): CastellanError | undefined {
    return refusalOf(this.#who, this.#state, this.settings.restart === "temporary" ? this.#lastExit : undefined);
  }
}
