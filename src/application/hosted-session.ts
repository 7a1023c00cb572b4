import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { type HostMethod, isPoolMethod, type PoolMethod } from "../cluster/protocol/call-methods.ts";
import type { TurnAsked } from "../cluster/protocol/frames.ts";
import type { HostedSession } from "../cluster/session-host.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, type SessionName } from "../names.ts";
import { isRemoteControl, type RemoteControl, readControlArguments } from "../session/controls.ts";
import type { Approval } from "../session/conversation/approval.ts";
import { command } from "../session/options/command.ts";
import type { Prompt } from "../session/options/prompt.ts";
import type { PromptBlock } from "../session/options/prompt-block.ts";
import type { SteerOptions } from "../session/options/steer-options.ts";
import type { TurnOptions } from "../session/options/turn-options.ts";
import { invalidOptions, validate } from "../session/options/validation.ts";
import type { EraseOptions } from "../session/persistence/erasure.ts";
import type { QuestionAnswers } from "../session/record/approval-questions.ts";
import type { EventOptions } from "../session/record/event-readers.ts";
import type { SessionEvent } from "../session/record/session-event-types.ts";
import { type Session, serverOf } from "../session/session.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import type { EnqueueOptions } from "../session/turns/schedule.ts";
import type { ExportPages } from "./export-pages.ts";
import type { LocalSupervisor } from "./local-supervisor.ts";

const text = z.string();
const approvalChanges = z
  .looseObject({
    input: z.record(z.string(), z.unknown()).optional(),
    rules: z.array(z.custom<PermissionUpdate>((value) => typeof value === "object" && value !== null)).optional(),
    by: z.string().optional(),
  })
  .transform(withoutUndefined);
const answerer = z.looseObject({ by: z.string().optional() }).transform(withoutUndefined);

/** What a host needs to answer a call for one of its sessions. */
export interface CallContext {
  readonly supervisor: LocalSupervisor;
  readonly session: Session;
  /** The name of this node. */
  readonly node: string;
  readonly exports: ExportPages;
  /** Resolves once the session knows the turn of a job that is being taken, at once for any other turn. */
  arrived(id: string): Promise<void>;
  /** Starts the session with this canonical name, with a copy of the conversation of `source`. */
  fork(source: SessionServer, key: string): Promise<"forked" | "owned" | "taken">;
}

type Answer = (context: CallContext, first: unknown, second: unknown, third: unknown) => unknown;

const ANSWERS: Readonly<Record<HostMethod, Answer>> = {
  status: ({ session, node }) => ({ ...session.status(), node }),
  inspect: ({ supervisor, session }) => inspectionOf(supervisor, session),
  approvals: ({ session }) => session.approvals().map(({ approve: _, answer: _1, deny: _2, ...approval }) => approval),
  approve: ({ session }, id, changes) =>
    pending(session, id)?.approve(validate(approvalChanges, changes ?? {}, labelOf(session), "approve")) ?? false,
  steer: async ({ session, arrived }, id, message, options) => {
    const turnId = validate(text, id, labelOf(session), "steer");
    await arrived(turnId);
    const turn = await session.turn(turnId);
    if (turn === undefined) {
      const problem = `${labelOf(session)}, turn ${turnId}: the turn does not exist.`;
      throw new CastellanError("STEER_REFUSED", problem, { details: { turnId, reason: "ended" } });
    }
    // The turn itself checks text and options.
    return (await turn.steer(message as string, (options ?? {}) as SteerOptions)).id;
  },
  // The session checks prompt and options.
  enqueueLater: ({ session }, asked, options) =>
    session.enqueue(promptOf(asked as TurnAsked), (options ?? {}) as EnqueueOptions),
  schedules: ({ session }) => session.schedules(),
  cancelSchedule: ({ session }, id) => session.cancelSchedule(validate(text, id, labelOf(session), "cancelSchedule")),
  // The approval itself checks the answers.
  answer: ({ session }, id, answers, options) =>
    pending(session, id)?.answer(
      (answers ?? {}) as QuestionAnswers,
      validate(answerer, options ?? {}, labelOf(session), "answer"),
    ) ?? false,
  deny: ({ session }, id, message, options) =>
    pending(session, id)?.deny(
      validate(text.optional(), message ?? undefined, labelOf(session), "deny"),
      validate(answerer, options ?? {}, labelOf(session), "deny"),
    ) ?? false,
  content: async ({ session }, hash) => {
    const $content = validate(text, hash, labelOf(session), "content");
    const found = await session.content({ $content, size: 0, mediaType: "" });
    return found && { mediaType: found.mediaType, data: Buffer.from(found.data).toString("base64") };
  },
  conversations: ({ supervisor, session }) => supervisor.conversationsOf(session.name),
  erase: ({ supervisor, session }, options) => supervisor.eraseSession(session.name, (options ?? {}) as EraseOptions),
  export: ({ supervisor, session, exports }, next) =>
    exports.page(
      () => supervisor.exportSession(session.name),
      next === undefined ? undefined : validate(text, next, labelOf(session), "export"),
    ),
  fork: ({ session, fork }, key) => fork(serverBehind(session), validate(text, key, labelOf(session), "fork")),
};

/** A session of this node for other nodes. Rejects invalid arguments with an error for the calling node. */
export class SupervisedSession implements HostedSession {
  readonly #context: CallContext;

  /** @throws CastellanError as `Supervisor.session` */
  constructor(own: Omit<CallContext, "session">, name: SessionName) {
    this.#context = { ...own, session: own.supervisor.session(name) };
  }

  ask(asked: TurnAsked): TurnSource {
    const { idempotencyKey } = asked;
    return this.#server.submit(promptOf(asked), { idempotencyKey, ...turnOptionsOf(asked) });
  }

  async turn(id: string): Promise<TurnSource | undefined> {
    await this.#context.arrived(id);
    return await this.#server.turn(id);
  }

  async cancel(id: string): Promise<void> {
    await this.#context.arrived(id);
    const server = this.#server;
    const turn = await server.turn(id);
    if (turn === undefined) return;
    // A turn from the journal may have ended; only the journal's answer tells whether there is anything to cancel.
    await turn.accepted.catch(() => {});
    await server.interrupt(turn);
  }

  async lastEvent(): Promise<number> {
    return await this.#server.reading.lastWhenKnown();
  }

  events(options: EventOptions): AsyncGenerator<SessionEvent, void, undefined> {
    return this.#context.session.events(options);
  }

  async call(method: RemoteControl | HostMethod | PoolMethod, args: readonly unknown[]): Promise<unknown> {
    const { session } = this.#context;
    if (isPoolMethod(method)) {
      throw invalidOptions(labelOf(session), [{ field: method, message: "is a method of a pool" }]);
    }
    if (!isRemoteControl(method)) return await ANSWERS[method](this.#context, args[0], args[1], args[2]);
    return await Reflect.apply(session[method], session, readControlArguments(method, args, labelOf(session)));
  }

  /** The session now: a template may have evicted it and created it anew. */
  get #server(): SessionServer {
    return serverBehind(this.#context.session);
  }
}

function serverBehind(session: Session): SessionServer {
  const server = serverOf(session);
  if (server === undefined) throw new Error("the handle belongs to another copy of this package");
  return server;
}

function labelOf({ name }: Session): string {
  return `global session ${formatName(name)}`;
}

/** A session that is about to start has only a status. */
function inspectionOf(supervisor: LocalSupervisor, session: Session): unknown {
  return supervisor.inspectSession(session.name) ?? { kind: "session", status: session.status() };
}

function pending(session: Session, id: unknown): Approval | undefined {
  return session.approvals().find((approval) => approval.id === id);
}

/** Returns the prompt of a turn that another node asks for. The session checks it. */
export function promptOf({ prompt, blocks, command: call }: TurnAsked): Prompt {
  if (call !== undefined) return command(call.name, call.args);
  return blocks === undefined ? prompt : (blocks as readonly PromptBlock[]);
}

/** Returns the options of a turn that another node asks for, without its idempotency key, which pools refuse. */
export function turnOptionsOf({
  timeoutMs: timeout,
  queueTimeoutMs: queueTimeout,
  whenBusy,
  verbatimPrompts,
  by,
  metadata,
}: TurnAsked): TurnOptions {
  return withoutUndefined({ timeout, queueTimeout, whenBusy, verbatimPrompts, by, metadata }) as TurnOptions;
}
