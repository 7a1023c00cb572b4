import { randomUUID } from "node:crypto";
import type { SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import {
  boundaryMessage,
  builtInCommandIn,
  COMPACTED,
  COMPACTING,
  commandFailedMessage,
  echoOf,
  outputMessage,
  promptText,
  summaryMessage,
  summaryUsage,
  typedText,
} from "./fake-command.ts";
import { FakeControlRequests } from "./fake-control-requests.ts";
import type { FakeConversation } from "./fake-conversation.ts";
import { CLAUDE_CODE_VERSION, lifecycleMessage, modeMessage, stamp, stateMessage } from "./fake-messages.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeOwner, FakeProcessHandle, FakeUnprompted } from "./fake-owner.ts";
import { localCommandResult } from "./fake-result.ts";
import { FakeSettings } from "./fake-settings.ts";
import type { FakeProcess, FakeScript } from "./fake-turn.ts";
import { objectOf, stringOf, type WireMessage, type WireObject } from "./fake-wire.ts";
import { FakeTurnOver, SimulatedTurn } from "./simulated-turn.ts";
import type { EndedTurn, TurnContext } from "./turn-context.ts";

/** Claude Code inside a fake process: its protocol, the queue of prompts, one turn at a time, the conversation. */
export class SimulatedClaude implements TurnContext {
  readonly process: FakeProcess;
  readonly settings: FakeSettings;
  readonly prompts: string[] = [];
  readonly #owner: FakeOwner;
  readonly #handle: FakeProcessHandle;
  readonly #requests: FakeRequests;
  readonly #controlRequests: FakeControlRequests;
  readonly #queue: SDKUserMessage[] = [];
  readonly #unprompted: FakeUnprompted[] = [];
  #conversation: FakeConversation;
  #turn: SimulatedTurn | undefined;
  #inputEnded = false;
  #lastTurnFailed = false;
  #results = 0;

  constructor(owner: FakeOwner, handle: FakeProcessHandle, conversation: FakeConversation) {
    this.#owner = owner;
    this.#handle = handle;
    this.process = handle;
    this.settings = new FakeSettings(
      handle.arguments,
      handle.cwd,
      handle.env,
      (mode) => this.send(modeMessage(mode)),
      owner.options.mcpServer,
    );
    this.#conversation = conversation;
    this.#requests = new FakeRequests((message) => handle.write(`${JSON.stringify(message)}\n`));
    this.#controlRequests = new FakeControlRequests(this);
  }

  get pid(): number {
    return this.#handle.pid;
  }

  get conversation(): FakeConversation {
    return this.#conversation;
  }

  get characters(): number {
    return this.#conversation.entries.reduce((sum, { text }) => sum + text.length, 0);
  }

  get queuedUuids(): (string | undefined)[] {
    return this.#queue.map(({ uuid }) => uuid);
  }

  get commands(): readonly string[] {
    return this.#owner.options.commands ?? [];
  }

  get version(): string {
    return this.#owner.options.version ?? CLAUDE_CODE_VERSION;
  }

  get mcpServer(): FakeClaudeOptions["mcpServer"] {
    return this.#owner.options.mcpServer;
  }

  get costPerTurnUsd(): number {
    return this.#owner.options.costPerTurnUsd ?? 0.01;
  }

  get full(): boolean {
    return this.#handle.full;
  }

  nextResultIndex(): number {
    this.#results += 1;
    return this.#results - 1;
  }

  ask(request: WireObject, signal: AbortSignal): Promise<WireObject> {
    return this.#requests.ask(request, signal);
  }

  /** Sends a message and returns its uuid. */
  send(message: WireObject): string {
    const line = stamp(message, this.#conversation.id);
    this.#handle.write(`${JSON.stringify(line)}\n`);
    return String(line["uuid"]);
  }

  respond(response: WireObject): void {
    this.#handle.write(`${JSON.stringify({ type: "control_response", response })}\n`);
  }

  written(): Promise<void> {
    return this.#handle.written();
  }

  writeStderr(text: string): void {
    this.#handle.writeStderr(text);
  }

  /** Handles a line of standard input. */
  take(message: WireObject): void {
    switch (message["type"]) {
      case "control_request":
        this.#controlRequests.take(stringOf(message, "request_id") ?? "", objectOf(message, "request"));
        break;
      case "control_response":
        this.#requests.handleResponse(message);
        break;
      case "user":
        if (isUserMessage(message)) this.#prompt(message);
        break;
    }
  }

  handshakeDone(): void {
    this.#owner.started(this.process);
  }

  /** Finishes the running turn and exits, with 1 if the last turn failed, like the real process. */
  endOfInput(): void {
    this.#inputEnded = true;
    if (this.#turn !== undefined || this.#owner.options.endOfInput === "ignore") return;
    this.#handle.crash({ code: this.#lastTurnFailed ? 1 : 0 });
  }

  interrupt(acknowledge: () => void): void {
    if (this.#turn === undefined || this.#owner.options.ignoreInterrupt === true) acknowledge();
    else this.#turn.interrupt(acknowledge);
  }

  cancelQueued(): void {
    for (const { uuid } of this.#queue.splice(0)) this.send(lifecycleMessage(uuid ?? "", "cancelled"));
  }

  cancel(uuid: string): boolean {
    const at = this.#queue.findIndex((message) => message.uuid === uuid);
    if (at >= 0) this.#queue.splice(at, 1);
    if (at >= 0) this.send(lifecycleMessage(uuid, "cancelled"));
    return at >= 0;
  }

  get rewinds(): FakeClaudeOptions["rewind"] {
    return this.#owner.options.rewind;
  }

  rewind(promptId: string, lastSeen: string): WireObject | undefined {
    if (this.rewinds === "refused") return undefined;
    if (this.#turn === undefined || this.#turn.over) return this.#conversation.rewind(promptId, lastSeen);
    return {
      rewound: false,
      prefillText: null,
      precedingAssistantUuid: null,
      error: "turn running",
      reason: "turn_running",
    };
  }

  /** Begins an unprompted turn after the running turn, before queued prompts. */
  beginUnprompted(began: FakeUnprompted): void {
    if (this.#turn === undefined) this.send(stateMessage("running", this.settings.reportsState));
    this.#unprompted.push(began);
    this.#next();
  }

  /** Ends the running turn because the process has ended. */
  abandon(): void {
    this.#turn?.abandon();
  }

  /** Called by the turn after it has sent its result. */
  turnEnded(turn: EndedTurn, how: { readonly isError: boolean; readonly cancelled: boolean }): void {
    this.#lastTurnFailed = how.isError;
    for (const uuid of turn.callerUuids) this.send(lifecycleMessage(uuid, how.cancelled ? "cancelled" : "completed"));
    void this.#afterTurn(turn);
  }

  async #afterTurn(turn: EndedTurn): Promise<void> {
    try {
      for (const work of turn.late) await work();
    } catch (error) {
      this.#scriptFailed(error);
    }
    this.#turn = undefined;
    this.#next();
  }

  #prompt(message: SDKUserMessage): void {
    const prompt = promptText(message);
    const uuid = message.uuid ?? randomUUID();
    this.prompts.push(prompt);
    if (this.#turn === undefined) this.send(stateMessage("running", this.settings.reportsState));
    this.send(lifecycleMessage(uuid, "queued"));
    this.#queue.push({ ...message, uuid });
    this.#owner.prompted(this.process, prompt);
    this.#next();
  }

  /**
   * Removes the queued prompts up to the next built-in command, which is a turn of its own, or up to one that `joins` excludes. They
   * count as started.
   */
  takeQueued(joins: (message: SDKUserMessage) => boolean = () => true): SDKUserMessage[] {
    const end = this.#queue.findIndex((message) => builtInCommandIn(message) !== undefined || !joins(message));
    const taken = this.#queue.splice(0, end < 0 ? this.#queue.length : end);
    for (const { uuid } of taken) this.send(lifecycleMessage(uuid ?? "", "started"));
    return taken;
  }

  /** Begins the next turn. Queued messages become one turn, like in the real process. */
  #next(): void {
    if (this.#turn !== undefined || this.#handle.state === "exited") return;
    const unprompted = this.#unprompted.shift();
    if (unprompted !== undefined) {
      void this.#runUnprompted(unprompted);
      return;
    }
    const [first] = this.#queue;
    const command = first === undefined ? undefined : builtInCommandIn(first);
    if (first !== undefined && command !== undefined) {
      this.#queue.shift();
      if (command === "clear") this.#clear(first);
      else this.#compact(first);
      return;
    }
    const batch = this.takeQueued();
    const last = batch.at(-1);
    if (last === undefined) {
      this.send(stateMessage("idle", this.settings.reportsState));
      if (this.#inputEnded) this.endOfInput();
      return;
    }
    void this.#run(batch, last);
  }

  async #run(batch: readonly SDKUserMessage[], last: SDKUserMessage): Promise<void> {
    await this.#play(new SimulatedTurn(this, batch, last, this.#owner.nextTurn()), this.#owner.script);
  }

  async #runUnprompted({ script, origin }: FakeUnprompted): Promise<void> {
    const uuid = randomUUID();
    if (origin === "schedule") {
      this.send({ ...lifecycleMessage(uuid, "started"), wakeup_source: "schedule_wakeup" });
    }
    const message: SDKUserMessage = {
      type: "user",
      message: { role: "user", content: origin === "task" ? TASK_NOTIFICATION : "scheduled" },
      parent_tool_use_id: null,
      uuid,
    };
    await this.#play(new SimulatedTurn(this, [message], message, this.#owner.nextTurn(), origin), script);
    if (origin === "schedule") this.send(lifecycleMessage(uuid, "completed"));
  }

  async #play(turn: SimulatedTurn, script: FakeScript): Promise<void> {
    this.#turn = turn;
    try {
      await turn.begin();
      await script(turn);
      await turn.finish();
    } catch (error) {
      if (!(turn.over && error instanceof FakeTurnOver)) this.#scriptFailed(error);
    }
  }

  /** The built-in `/clear`: begins a new conversation. As in the real process, its id is not the announced one. */
  #clear(message: SDKUserMessage): void {
    const uuid = message.uuid ?? "";
    const startedAt = performance.now();
    const announced = randomUUID();
    this.send(lifecycleMessage(uuid, "started"));
    this.send({
      type: "conversation_reset",
      new_conversation_id: announced,
      uuid: announced,
      trigger: "clear",
      user_message_uuid: uuid,
      timestamp: new Date().toISOString(),
    });
    this.send({ type: "system", subtype: "background_tasks_changed", tasks: [] });
    this.#conversation = this.#owner.transcripts.fresh(this.#handle.cwd, this.#handle.arguments.persist);
    this.send(this.settings.init([uuid]));
    this.send(localCommandResult("clear", echoOf(uuid), startedAt, this.nextResultIndex()));
    this.#commandEnded(uuid);
  }

  /** The built-in `/compact`. The summary contains the whole conversation, so that a script can find it there. */
  #compact(message: SDKUserMessage): void {
    const uuid = message.uuid ?? "";
    const startedAt = performance.now();
    const conversation = this.#conversation;
    const { entries, costs } = conversation;
    this.send(lifecycleMessage(uuid, "started"));
    if (entries.length === 0) {
      this.#compactNothing(message, uuid, startedAt);
      return;
    }
    const summary = entries.map(({ role, text }) => `${role}: ${text}`).join("\n");
    const usage = summaryUsage(summary, this.costPerTurnUsd);
    this.send(COMPACTING);
    this.send(COMPACTED);
    const turnUsage = costs.add(this.settings.model, usage);
    this.send(this.settings.init([uuid]));
    // The last answer of a longer conversation stays unchanged.
    const kept = entries.length > 2 ? entries.slice(-1) : [];
    const summaryUuid = randomUUID();
    const keptUuids = kept.map((entry) => entry.uuid);
    this.send(boundaryMessage(usage, entries.at(-1)?.uuid ?? "", summaryUuid, keptUuids));
    this.send(summaryMessage(summaryUuid, summary));
    conversation.compact(summaryUuid, summary, kept);
    conversation.note(this.send(outputMessage("Compacted ")), "Compacted ");
    const { totalCostUsd, modelUsage } = costs;
    const spent = { totalCostUsd, modelUsage, turnUsage };
    this.send(localCommandResult("compact", echoOf(uuid), startedAt, this.nextResultIndex(), spent));
    this.#commandEnded(uuid);
  }

  #compactNothing(message: SDKUserMessage, uuid: string, startedAt: number): void {
    const words = "Error: No messages to compact";
    const args = typedText(message).replace(/^\S+\s*/, "");
    this.send(this.settings.init([uuid]));
    this.#conversation.note(this.send(commandFailedMessage("compact", args, words)), words);
    this.send(localCommandResult("compact", echoOf(uuid), startedAt, this.nextResultIndex()));
    this.#commandEnded(uuid);
  }

  #commandEnded(uuid: string): void {
    this.#lastTurnFailed = false;
    this.send(lifecycleMessage(uuid, "completed"));
    this.#next();
  }

  #scriptFailed(error: unknown): void {
    this.#owner.failed(error);
    this.#handle.crash({ code: 1, stderr: `${error instanceof Error ? error.stack : String(error)}\n` });
  }
}

const TASK_NOTIFICATION = "<task-notification>A task has ended.</task-notification>";

function isUserMessage(message: WireObject): message is WireObject & SDKUserMessage {
  const { content } = objectOf(message, "message");
  return typeof content === "string" || Array.isArray(content);
}

interface Pending {
  readonly resolve: (response: WireObject) => void;
  readonly reject: (reason: unknown) => void;
}

/** The requests of a fake process to its host: hooks, tools of in-process MCP servers, permissions. Each waits for its answer. */
export class FakeRequests {
  readonly #send: (message: WireMessage) => void;
  readonly #pending = new Map<string, Pending>();

  constructor(send: (message: WireMessage) => void) {
    this.#send = send;
  }

  /**
   * Resolves with the host's answer. Rejects when the host answers with an error. When the signal aborts, withdraws the request and rejects
   * with the signal's reason.
   */
  async ask(request: WireObject, signal: AbortSignal): Promise<WireObject> {
    signal.throwIfAborted();
    const id = randomUUID();
    const withdraw = (): void => {
      this.#send({ type: "control_cancel_request", request_id: id });
      this.#pending.get(id)?.reject(signal.reason);
    };
    const answer = new Promise<WireObject>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    signal.addEventListener("abort", withdraw, { once: true });
    this.#send({ type: "control_request", request_id: id, request });
    try {
      return await answer;
    } finally {
      this.#pending.delete(id);
      signal.removeEventListener("abort", withdraw);
    }
  }

  /** Handles a `control_response` line. Drops an answer to a withdrawn request. */
  handleResponse(message: WireObject): void {
    const response = objectOf(message, "response");
    const pending = this.#pending.get(stringOf(response, "request_id") ?? "");
    if (response["subtype"] !== "error") pending?.resolve(objectOf(response, "response"));
    else pending?.reject(new Error(stringOf(response, "error") ?? "the host answered with an error"));
  }
}
