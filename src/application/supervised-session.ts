import type { PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { HostMethod } from "../cluster/protocol/call-methods.ts";
import type { TurnAsked } from "../cluster/protocol/frames.ts";
import type { HostedSession } from "../cluster/session-host.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import { isRemoteControl, type RemoteControl, readControlArguments } from "../session/controls.ts";
import type { Approval } from "../session/conversation/approval.ts";
import { validate } from "../session/options/validation.ts";
import type { EraseOptions } from "../session/persistence/erasure.ts";
import type { Session } from "../session/session.ts";
import type { SessionEvent } from "../session/status/session-event.ts";
import { sourceOf } from "../session/streams/turn.ts";
import type { TurnSource } from "../session/streams/turn-source.ts";
import { promptOf, turnOptionsOf } from "./asked-turn.ts";
import type { ExportPages } from "./export-pages.ts";
import type { LocalSupervisor } from "./local-supervisor.ts";

const text = z.string();
const approvalChanges = z
  .looseObject({
    input: z.record(z.string(), z.unknown()).optional(),
    rules: z.array(z.custom<PermissionUpdate>((value) => typeof value === "object" && value !== null)).optional(),
  })
  .transform(withoutUndefined);

/** What a host answers for one of its sessions. */
interface Asked {
  readonly supervisor: LocalSupervisor;
  readonly session: Session;
  readonly node: string;
  readonly exports: ExportPages;
}

type Answer = (asked: Asked, first: unknown, second: unknown) => unknown;

const ANSWERS: Readonly<Record<HostMethod, Answer>> = {
  status: ({ session, node }) => ({ ...session.status(), node }),
  inspect: ({ supervisor, session }) => inspectionOf(supervisor, session),
  approvals: ({ session }) => session.approvals().map(({ approve: _, deny: _1, ...approval }) => approval),
  approve: ({ session }, id, changes) =>
    pending(session, id)?.approve(validate(approvalChanges, changes ?? {}, whoIs(session), "approve")) ?? false,
  deny: ({ session }, id, message) =>
    pending(session, id)?.deny(...(message === undefined ? [] : [validate(text, message, whoIs(session), "deny")])) ??
    false,
  conversations: ({ supervisor, session }) => supervisor.conversationsOf(session.name),
  erase: ({ supervisor, session }, options) => supervisor.eraseSession(session.name, (options ?? {}) as EraseOptions),
  export: ({ supervisor, session, exports }, next) =>
    exports.page(
      () => supervisor.exportSession(session.name),
      next === undefined ? undefined : validate(text, next, whoIs(session), "export"),
    ),
};

/** A session of a supervisor, as other nodes may use it. What is wrong with what they ask is told to them. */
export class SupervisedSession implements HostedSession {
  readonly #asked: Asked;

  /**
   * @param node the name of this node
   * @throws CastellanError what `Supervisor.session` throws
   */
  constructor(supervisor: LocalSupervisor, name: SessionName, node: string, exports: ExportPages) {
    this.#asked = { supervisor, session: supervisor.session(name), node, exports };
  }

  ask(asked: TurnAsked): TurnSource {
    const { idempotencyKey } = asked;
    return sourceOf(this.#asked.session.stream(promptOf(asked), { idempotencyKey, ...turnOptionsOf(asked) }));
  }

  async turn(id: string): Promise<TurnSource | undefined> {
    const turn = await this.#asked.session.turn(id);
    return turn === undefined ? undefined : sourceOf(turn);
  }

  async cancel(id: string): Promise<void> {
    const turn = await this.#asked.session.turn(id);
    if (turn === undefined) return;
    // It may turn out to be one that the journal has, and that has ended; only then is it known what there is to cancel.
    await sourceOf(turn).accepted.catch(() => {});
    await turn.interrupt();
  }

  events(): AsyncGenerator<SessionEvent, void, undefined> {
    return this.#asked.session.events();
  }

  async call(method: RemoteControl | HostMethod, args: readonly unknown[]): Promise<unknown> {
    const { session } = this.#asked;
    if (!isRemoteControl(method)) return await ANSWERS[method](this.#asked, args[0], args[1]);
    return await Reflect.apply(session[method], session, readControlArguments(method, args, whoIs(session)));
  }
}

function whoIs({ name }: Session): string {
  return `global session ${formatName(name)}`;
}

/** Of one that is about to begin there is only its status. */
function inspectionOf(supervisor: LocalSupervisor, session: Session): unknown {
  const key = nameKey(session.name);
  const { children } = supervisor.inspect();
  const found = children.find((child) => child.kind === "session" && nameKey(child.status.name) === key);
  return found ?? { kind: "session", status: session.status() };
}

function pending(session: Session, id: unknown): Approval | undefined {
  return session.approvals().find((approval) => approval.id === id);
}
