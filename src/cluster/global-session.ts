import type { McpServerConfig, McpSetServersResult } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import {
  type ConversationOptions,
  defineControls,
  isSendable,
  REMOTE_CONTROLS,
  type RemoteControl,
  type RemoteControls,
} from "../session/controls.ts";
import type { Approval, ApprovalAnswerer, ApprovalChanges } from "../session/conversation/approval.ts";
import { command } from "../session/options/command.ts";
import { type GlobalName, globalNameOf } from "../session/options/global-name.ts";
import { type Prompt, readPrompt } from "../session/options/prompt.ts";
import { checkTurnOptions, type TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import { checkDescribeOptions, type DescribeOptions } from "../session/persistence/live-description.ts";
import type { QuestionAnswers } from "../session/record/approval-questions.ts";
import type { ContentReference, EventContent } from "../session/record/content.ts";
import { checkEventOptions } from "../session/record/event-options.ts";
import type { EventOptions } from "../session/record/event-readers.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";
import type { SessionHealth } from "../session/session-health.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { Reply } from "../session/streams/reply.ts";
import { Turn, type TurnCalls } from "../session/streams/turn.ts";
import {
  type EnqueueOptions,
  isScheduled,
  refuseUnscheduled,
  type Schedule,
  scheduleOf,
} from "../session/turns/schedule.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import type { GlobalTurn, GlobalTurnRequest } from "./global-turn.ts";
import type { CallMethod } from "./protocol/call-methods.ts";

/** A permission request of Claude on any node; as {@link Approval}, but answered remotely. */
export interface GlobalApproval extends Omit<Approval, "approve" | "answer" | "deny"> {
  /** As {@link Approval.approve}. */
  approve(changes?: ApprovalChanges): Promise<boolean>;
  /** As {@link Approval.answer}. */
  answer(answers: QuestionAnswers, options?: ApprovalAnswerer): Promise<boolean>;
  /** As {@link Approval.deny}. */
  deny(message?: string, options?: ApprovalAnswerer): Promise<boolean>;
}

/** The status of a global session, and its node. */
export interface GlobalSessionStatus extends SessionStatus {
  /** Name of the session's node. */
  readonly node: string;
}

/** The configuration of an MCP server that is not an in-process one. */
export type SentMcpServer = Exclude<McpServerConfig, { readonly type: "sdk" }>;

const NOT_IN_PROCESS =
  "an in-process server cannot be sent to the session's node; declare it in the session's `mcpServers`";

/** How a handle reaches its session. */
export interface GlobalReach {
  turn(request: GlobalTurnRequest): GlobalTurn;
  call(key: string, method: CallMethod, ...args: readonly unknown[]): Promise<unknown>;
  events(key: string, options: EventOptions): AsyncGenerator<SessionEvent, void, undefined>;
  move(key: string, node: string): Promise<void>;
  /** Starts the session `to` with a copy of the conversation of `from`. */
  fork(from: string, to: string): Promise<void>;
  /** Has the nodes that do not own the session remove their files of its conversations. */
  eraseElsewhere(key: string): Promise<void>;
  newId(): string;
}

/** Calls a control on the session's node. */
type Ask = (control: RemoteControl, args: readonly unknown[]) => Promise<unknown>;

class RemoteControlsBase {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  static {
    defineControls(
      RemoteControlsBase.prototype,
      REMOTE_CONTROLS,
      // JSON has no `undefined`: a control without a result answers `null`.
      async (session, control, args) => (await session.#ask(control, args)) ?? undefined,
    );
  }
}

const base: new (ask: Ask) => object = RemoteControlsBase;

/** Has a method for each control that works on another node. */
const RemoteSessionControls: new (ask: Ask) => RemoteControls = base as new (ask: Ask) => RemoteControls;

/**
 * A named session on one of several machines. It has the calls of a `Session`. `status` and `approvals` are
 * asynchronous here: the session's node answers them.
 *
 * When the node is lost, the session continues with its conversation on another one, and its turns follow: a caller
 * notices only a pause. A turn that ran on the lost node is settled as after a crash, by `onInterruptedTurn`.
 *
 * Besides its own errors, every call may throw `CLUSTER_UNAVAILABLE` if no node answers, and `DATABASE_UNAVAILABLE` if
 * the database does not, after the cluster's `patience`.
 */
export class GlobalSession extends RemoteSessionControls {
  readonly name: SessionName;
  readonly #key: string;
  readonly #who: string;
  readonly #reach: GlobalReach;

  /** A cluster creates handles. */
  constructor(name: SessionName, reach: GlobalReach) {
    const key = nameKey(name);
    super((control, args) => reach.call(key, control, ...args));
    this.name = name;
    this.#key = key;
    this.#who = `global session ${formatName(name)}`;
    this.#reach = reach;
  }

  /** As `Session.query`. */
  async query<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Promise<Reply<Structured>> {
    const turn = this.#ask(prompt, options, false);
    // The turn's schema has checked the value, and gave `Structured` its meaning.
    return (await turn.result) as Reply<Structured>;
  }

  /** As `Session.stream`. The stream follows the turn to other nodes. */
  stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    return this.#turnOf<Structured>(this.#ask(prompt, options, true));
  }

  /**
   * As `Session.enqueue`, also with `runAt` and `every`: the cluster's database keeps the schedule, and each run takes place once
   * over all nodes. Without an owner, the session gets one within a minute before the run. `timezone` is by default that of the
   * node.
   */
  async enqueue(prompt: Prompt, options: EnqueueOptions = {}): Promise<string> {
    if (isScheduled(options)) return await this.#enqueueLater(prompt, options);
    const turn = this.#ask(prompt, options, false);
    await turn.accepted;
    return turn.id;
  }

  /** As `Session.schedules`. */
  async schedules(): Promise<Schedule[]> {
    return (await this.#call("schedules")) as Schedule[];
  }

  /** As `Session.cancelSchedule`. Resolves with `false` also if the node was lost after it had cancelled the schedule. */
  async cancelSchedule(id: string): Promise<boolean> {
    return (await this.#call("cancelSchedule", id)) === true;
  }

  async #enqueueLater(prompt: Prompt, options: EnqueueOptions): Promise<string> {
    const { runAt, every, timezone, ...own } = options;
    const what = `schedule of ${this.#who}`;
    // The session's node checks everything else: it knows the options, and the time.
    const { text, command: call, blocks } = readPrompt(prompt, this.#who);
    refuseUnscheduled(own, what);
    const { idempotencyKey = this.#reach.newId() } = checkTurnOptions(own, what);
    scheduleOf(withoutUndefined({ runAt, every, timezone }), 0, what);
    const content = blocks === undefined ? { prompt: text } : { prompt: "", blocks };
    // The key makes a retry on any node idempotent.
    const asked = { ...content, command: call, idempotencyKey };
    const at = runAt instanceof Date ? runAt.getTime() : runAt;
    return String(await this.#call("enqueueLater", asked, { ...options, runAt: at, idempotencyKey }));
  }

  /** As `Session.compact`. */
  async compact(instructions = "", options: TurnOptions = {}): Promise<Reply> {
    return await this.query(command("compact", instructions), options);
  }

  /** As `Session.turn`. */
  async turn(id: string): Promise<Turn | undefined> {
    return await this.turnNamed(id, this.name);
  }

  /** @internal As {@link GlobalSession.turn}, with another name in {@link Turn.session}. */
  async turnNamed(id: string, name: SessionName): Promise<Turn | undefined> {
    const { source, calls } = this.follow(id);
    return (await source.found) ? new Turn(source, name, calls) : undefined;
  }

  /** @internal Follows a turn that exists, or will turn out not to. */
  follow(
    id: string,
    how: Pick<GlobalTurnRequest, "known"> & { readonly output?: GlobalTurnRequest["output"] } = {},
  ): { readonly source: GlobalTurn; readonly calls: TurnCalls } {
    const existing = { ask: undefined, messages: true, output: undefined, signal: undefined } as const;
    const source = this.#reach.turn({ key: this.#key, turnId: id, ...existing, ...how });
    return { source, calls: this.#callsOf(source) };
  }

  /** As `Session.current`. */
  async current(): Promise<Turn | undefined> {
    const { turn } = await this.status();
    return turn === undefined ? undefined : await this.turn(turn.id);
  }

  /** @internal Starts a turn. */
  begin(prompt: Prompt, options: TurnOptions): { readonly source: GlobalTurn; readonly calls: TurnCalls } {
    const source = this.#ask(prompt, options, true);
    return { source, calls: this.#callsOf(source) };
  }

  /** Returns the session's status, as its node knows it now. */
  async status(): Promise<GlobalSessionStatus> {
    return (await this.#call("status")) as GlobalSessionStatus;
  }

  /**
   * Returns what `Supervisor.inspect` shows of the session on its node: status, budget, options and their sources, last
   * exits. As JSON.
   */
  async inspect(): Promise<Readonly<Record<string, unknown>>> {
    return (await this.#call("inspect")) as Readonly<Record<string, unknown>>;
  }

  /** As `Session.health`. Never throws: an unreachable session is unhealthy. */
  override async health(): Promise<SessionHealth> {
    try {
      return (await this.#call("health")) as SessionHealth;
    } catch (error) {
      return { status: "unhealthy", reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /**
   * As `Session.events`, from when the session's node answers. Continues on the next node when the session moves, after
   * the last recorded event; live events during the move are missing.
   *
   * @throws CastellanError as `Session.events`; with `live: false` also `CLUSTER_UNAVAILABLE`, `DATABASE_UNAVAILABLE`
   */
  events<Type extends SessionEvent["type"] = SessionEvent["type"]>(
    options: EventOptions<Type> = {},
  ): AsyncGenerator<SessionEvent & { readonly type: Type }, void, undefined> {
    const checked = checkEventOptions(options, `events of ${this.#who}`);
    // The node sends only these types.
    return this.#reach.events(this.#key, checked) as AsyncGenerator<
      SessionEvent & { readonly type: Type },
      void,
      undefined
    >;
  }

  /** As `Session.content`. */
  async content({ $content }: ContentReference): Promise<EventContent | undefined> {
    const found = (await this.#call("content", $content)) as { mediaType: string; data: string } | null;
    return found === null ? undefined : { mediaType: found.mediaType, data: Buffer.from(found.data, "base64") };
  }

  /**
   * As `Session.setMcpServers`, but until the session is evicted or moves.
   *
   * @throws CastellanError `INVALID_OPTIONS` also for an in-process server, whose functions only this process can call
   */
  override async setMcpServers(servers: Record<string, SentMcpServer>): Promise<McpSetServersResult> {
    const problems = Object.entries(servers).flatMap(([name, config]) =>
      isSendable(config) ? [] : [{ field: `setMcpServers.${name}`, message: NOT_IN_PROCESS }],
    );
    if (problems.length > 0) throw invalidOptions(this.#who, problems);
    return await super.setMcpServers(servers);
  }

  /**
   * Starts a session with a copy of this conversation, on this session's node; the two then continue independently. The new
   * one has the options with which its name is declared. Its name must have no conversation yet.
   *
   * @param name the global name of the new session, such as one that a template covers
   * @throws CastellanError `SESSION_NOT_FOUND` if this session's node does not declare the name; `SESSION_ALREADY_STARTED` if
   * the name has a conversation; `INVALID_OPTIONS`
   * @example
   * const draft = await session(global(["support", 42])).fork(global(["support", "42 draft"]), { title: "Draft" });
   */
  async fork(name: GlobalName, description: Pick<DescribeOptions, "title" | "labels"> = {}): Promise<GlobalSession> {
    const other = new GlobalSession(globalNameOf(name), this.#reach);
    const checked = checkDescribeOptions(description);
    await this.#reach.fork(this.#key, other.#key);
    if (Object.keys(checked).length > 0) await other.describe(description);
    return other;
  }

  /** Returns Claude's pending permission requests, oldest first, if the session has `approvals`. */
  async approvals(): Promise<readonly GlobalApproval[]> {
    return ((await this.#call("approvals")) as Approval[]).map((approval) => this.#approval(approval));
  }

  /**
   * Stops the session and releases it. Its turns end with `SESSION_STOPPED`. The next turn starts it again; the cluster
   * starts a declared session with `activation: "eager"`, the default, again by itself. With `conversation: "clear"`,
   * former owners remove their files, too.
   */
  override async stop(options: ConversationOptions = {}): Promise<void> {
    // Before the owner forgets the conversations.
    if (options.conversation === "clear") await this.#reach.eraseElsewhere(this.#key);
    await this.#call("stop", options);
  }

  /**
   * Moves the session to another node. A running turn has thirty seconds to finish; queued turns run on the other node.
   *
   * @param node the name of the node, see `Cluster.nodes`
   * @throws CastellanError `INVALID_OPTIONS` if no such node exists or it does not host the session
   */
  async move(node: string): Promise<void> {
    await this.#reach.move(this.#key, node);
  }

  #ask<Structured>(prompt: Prompt, options: TurnOptions<Structured>, messages: boolean): GlobalTurn {
    // The session's node checks everything else: it knows the options.
    const { text, command: call, blocks } = readPrompt(prompt, this.#who);
    const checked = checkTurnOptions(options, `turn of ${this.#who}`);
    const { timeout: timeoutMs, queueTimeout: queueTimeoutMs, signal, outputSchema: output } = checked;
    const { whenBusy, verbatimPrompts, by, metadata } = checked;
    if (whenBusy === "steer") {
      const message = "cannot be used with a global session, whose turns all have a key; use `turn.steer`";
      throw invalidOptions(`turn of ${this.#who}`, [{ field: "whenBusy", message }]);
    }
    // A key makes retries on any node idempotent.
    const idempotencyKey = checked.idempotencyKey ?? this.#reach.newId();
    const turnId = keyedTurnId(this.#key, idempotencyKey);
    if (signal?.aborted) {
      const message = `${this.#who}: the turn was cancelled before it was sent.`;
      throw new CastellanError("TURN_CANCELLED", message, { details: { turnId }, cause: signal.reason });
    }
    const content = blocks === undefined ? { prompt: text } : { prompt: "", blocks };
    const own = { timeoutMs, queueTimeoutMs, whenBusy, verbatimPrompts, by, metadata };
    const ask = { ...content, command: call, idempotencyKey, ...own };
    return this.#reach.turn({ key: this.#key, turnId, ask, messages, output, signal });
  }

  #turnOf<Structured>(turn: GlobalTurn): Turn<Structured> {
    return new Turn<Structured>(turn, this.name, this.#callsOf(turn));
  }

  #callsOf(turn: GlobalTurn): TurnCalls {
    return {
      interrupt: () => turn.interrupt(),
      steer: async (text, options) => {
        await turn.accepted.catch(() => {});
        const holder = await this.#call("steer", turn.id, text, options);
        return typeof holder !== "string" || holder === turn.id ? undefined : await this.turn(holder);
      },
      events: (options) => this.#reach.events(this.#key, options),
      asks: true,
      content: (reference) => this.content(reference),
    };
  }

  #approval(approval: Omit<Approval, "approve" | "answer" | "deny">): GlobalApproval {
    const { id } = approval;
    return {
      ...approval,
      approve: async (changes = {}) => (await this.#call("approve", id, changes)) === true,
      answer: async (answers, options = {}) => (await this.#call("answer", id, answers, options)) === true,
      deny: async (message, options) => {
        const args = options === undefined ? (message === undefined ? [] : [message]) : [message ?? null, options];
        return (await this.#call("deny", id, ...args)) === true;
      },
    };
  }

  #call(method: CallMethod, ...args: readonly unknown[]): Promise<unknown> {
    return this.#reach.call(this.#key, method, ...args);
  }
}
