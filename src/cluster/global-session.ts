import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { CastellanError } from "../errors.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import {
  type ConversationOptions,
  defineControls,
  REMOTE_CONTROLS,
  type RemoteControl,
  type RemoteControls,
} from "../session/controls.ts";
import type { Approval } from "../session/conversation/approval.ts";
import { command } from "../session/options/command.ts";
import { type Prompt, readPrompt } from "../session/options/prompt.ts";
import { checkTurnOptions, type TurnOptions } from "../session/options/turn-options.ts";
import type { SessionHealth } from "../session/session-health.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import type { SessionStatus } from "../session/status/session-status.ts";
import type { Reply } from "../session/streams/reply.ts";
import { Turn } from "../session/streams/turn.ts";
import { keyedTurnId } from "../session/turns/turn-id.ts";
import type { GlobalTurn, GlobalTurnRequest } from "./global-turn.ts";
import type { CallMethod } from "./protocol/call-methods.ts";

/** A permission that Claude waits for, on whichever node; as {@link Approval}, but answered from afar. */
export interface GlobalApproval extends Omit<Approval, "approve" | "deny"> {
  /** Lets the tool run, optionally with another input or with rules for the future. Resolves with whether this was the first answer. */
  approve(changes?: {
    readonly input?: Record<string, unknown>;
    readonly rules?: readonly PermissionUpdate[];
  }): Promise<boolean>;
  /** Tells Claude why not; it goes on without the tool. Resolves with whether this was the first answer. */
  deny(message?: string): Promise<boolean>;
}

/** What happens to a global session besides its turns, see {@link SessionEvent}. */
export type GlobalSessionEvent =
  | Exclude<SessionEvent, { readonly type: "approval_requested" }>
  | { readonly type: "approval_requested"; readonly approval: GlobalApproval };

/** Where a global session is, besides its status. */
export interface GlobalSessionStatus extends SessionStatus {
  /** The name of the node that has it. */
  readonly node: string;
}

/** How a handle reaches its session. */
export interface GlobalReach {
  turn(request: GlobalTurnRequest): GlobalTurn;
  call(key: string, method: CallMethod, ...args: readonly unknown[]): Promise<unknown>;
  events(key: string): AsyncGenerator<SessionEvent, void, undefined>;
  move(key: string, node: string): Promise<void>;
  /** Removes what nodes that do not have the session have kept of its conversations. */
  eraseElsewhere(key: string): Promise<void>;
  newId(): string;
}

/** Asks the node that has the session. */
type Ask = (control: RemoteControl, args: readonly unknown[]) => Promise<unknown>;

class AskedControls {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  static {
    defineControls(
      AskedControls.prototype,
      REMOTE_CONTROLS,
      // What answers nothing comes back as `null`.
      async (session, control, args) => (await session.#ask(control, args)) ?? undefined,
    );
  }
}

const base: new (ask: Ask) => object = AskedControls;

/** Has a method for each control that a session on another node can be asked. */
const RemoteSessionControls: new (ask: Ask) => RemoteControls = base as new (ask: Ask) => RemoteControls;

/**
 * A session that lives on one of several machines, by its name. It has the calls of a `Session`; those that a `Session` answers at
 * once, `status` and `approvals`, are answered by the node that has it.
 *
 * When that node is lost the session goes on with its conversation on another one. A turn follows it there: whoever waits for it
 * notices a pause. A turn that was running when its node was lost is settled as after a crash, by `onInterruptedTurn`.
 *
 * Besides what the call itself can throw each may throw `CLUSTER_UNAVAILABLE`, if no node that could have the session can be
 * reached, and `DATABASE_UNAVAILABLE`, if the database cannot, after the cluster's `patience`.
 */
export class GlobalSession extends RemoteSessionControls {
  readonly name: SessionName;
  readonly #key: string;
  readonly #who: string;
  readonly #reach: GlobalReach;

  /** Made by a cluster. */
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
    // The schema that the turn was asked with has read it, and gave `Structured` its meaning.
    return (await turn.result) as Reply<Structured>;
  }

  /** As `Session.stream`. The turn is followed wherever it goes. */
  stream<Structured = unknown>(prompt: Prompt, options: TurnOptions<Structured> = {}): Turn<Structured> {
    return this.#turnOf<Structured>(this.#ask(prompt, options, true));
  }

  /** As `Session.enqueue`. */
  async enqueue(prompt: Prompt, options: TurnOptions = {}): Promise<string> {
    const turn = this.#ask(prompt, options, false);
    await turn.accepted;
    return turn.id;
  }

  /** As `Session.compact`. */
  async compact(instructions = "", options: TurnOptions = {}): Promise<Reply> {
    return await this.query(command("compact", instructions), options);
  }

  /** As `Session.turn`. */
  async turn(id: string): Promise<Turn | undefined> {
    const turn = this.#reach.turn({
      key: this.#key,
      turnId: id,
      ask: undefined,
      messages: true,
      output: undefined,
      signal: undefined,
    });
    return (await turn.found) ? this.#turnOf(turn) : undefined;
  }

  /** What its node knows of it at this moment. */
  async status(): Promise<GlobalSessionStatus> {
    return (await this.#call("status")) as GlobalSessionStatus;
  }

  /**
   * What `Supervisor.inspect` tells of it on its node: its status, its budget, its options and where they came from, its last
   * exits. As JSON has it.
   */
  async inspect(): Promise<Readonly<Record<string, unknown>>> {
    return (await this.#call("inspect")) as Readonly<Record<string, unknown>>;
  }

  /** As `Session.health`. Never throws: that no node can be reached is an answer too. */
  override async health(): Promise<SessionHealth> {
    try {
      return (await this.#call("health")) as SessionHealth;
    } catch (error) {
      return { status: "unhealthy", reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** As `Session.events`, from now on; goes on on the next node when the session moves. What happens in between is not told. */
  async *events(): AsyncGenerator<GlobalSessionEvent, void, undefined> {
    for await (const event of this.#reach.events(this.#key)) {
      yield event.type === "approval_requested" ? { ...event, approval: this.#approval(event.approval) } : event;
    }
  }

  /** The permissions that Claude waits for, oldest first, if the session has `approvals`. */
  async approvals(): Promise<readonly GlobalApproval[]> {
    return ((await this.#call("approvals")) as Approval[]).map((approval) => this.#approval(approval));
  }

  /**
   * Ends the session, and gives it up: its turns end with `SESSION_STOPPED`. Asking it again brings it back; one that is declared
   * with `activation: "eager"`, the default, is brought back by the cluster. With `conversation: "clear"` the nodes that had it before
   * remove what they have of it, too.
   */
  override async stop(options: ConversationOptions = {}): Promise<void> {
    // Before the only one who knows of its conversations knows nothing any more.
    if (options.conversation === "clear") await this.#reach.eraseElsewhere(this.#key);
    await this.#call("stop", options);
  }

  /**
   * Has another node go on with the session: its running turn may finish for up to thirty seconds, those that wait run there.
   *
   * @param node the name of the node, see `Cluster.nodes`
   * @throws CastellanError `INVALID_OPTIONS` if there is no such node, or it does not host the session
   */
  async move(node: string): Promise<void> {
    await this.#reach.move(this.#key, node);
  }

  #ask<Structured>(prompt: Prompt, options: TurnOptions<Structured>, messages: boolean): GlobalTurn {
    // The rest is for its node to check, which knows the session's options.
    const { text, command: call } = readPrompt(prompt, this.#who);
    const checked = checkTurnOptions(options, `turn of ${this.#who}`);
    const { timeout: timeoutMs, queueTimeout: queueTimeoutMs, signal, outputSchema: output } = checked;
    const { whenBusy, verbatimPrompts } = checked;
    // A key makes it safe to ask again, on whichever node.
    const idempotencyKey = checked.idempotencyKey ?? this.#reach.newId();
    const turnId = keyedTurnId(this.#key, idempotencyKey);
    if (signal?.aborted) {
      const message = `${this.#who}: the turn was cancelled before it was asked.`;
      throw new CastellanError("TURN_CANCELLED", message, { details: { turnId }, cause: signal.reason });
    }
    const ask = { prompt: text, command: call, idempotencyKey, timeoutMs, queueTimeoutMs, whenBusy, verbatimPrompts };
    return this.#reach.turn({ key: this.#key, turnId, ask, messages, output, signal });
  }

  #turnOf<Structured>(turn: GlobalTurn): Turn<Structured> {
    return new Turn<Structured>(turn, this.name, () => turn.interrupt());
  }

  #approval(approval: Omit<Approval, "approve" | "deny">): GlobalApproval {
    const { id } = approval;
    return {
      ...approval,
      approve: async (changes = {}) => (await this.#call("approve", id, changes)) === true,
      deny: async (message) => (await this.#call("deny", id, ...(message === undefined ? [] : [message]))) === true,
    };
  }

  #call(method: CallMethod, ...args: readonly unknown[]): Promise<unknown> {
    return this.#reach.call(this.#key, method, ...args);
  }
}
