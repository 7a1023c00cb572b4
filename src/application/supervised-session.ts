import type { PermissionMode, PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import type { CallMethod, TurnAsked } from "../cluster/frames.ts";
import type { HostedSession } from "../cluster/session-host.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import type { Approval } from "../session/approval.ts";
import type { EraseOptions } from "../session/erasure.ts";
import type { HistoryOptions } from "../session/history.ts";
import type { ConversationOptions, Session } from "../session/session.ts";
import type { SessionEvent } from "../session/session-event.ts";
import { sourceOf } from "../session/turn.ts";
import type { TurnSource } from "../session/turn-source.ts";
import type { UsageOptions } from "../session/usage.ts";
import { invalidOptions, validate } from "../session/validation.ts";
import { promptOf, turnOptionsOf } from "./asked-turn.ts";
import type { ExportPages } from "./export-pages.ts";
import type { LocalSupervisor } from "./local-supervisor.ts";

const text = z.string();
const approvalChanges = z.looseObject({
  input: z.record(z.string(), z.unknown()).optional(),
  rules: z.array(z.custom<PermissionUpdate>((value) => typeof value === "object" && value !== null)).optional(),
});
const rewinding = z.object({ dryRun: z.boolean().optional() });

/** A session of a supervisor, as other nodes may use it. What is wrong with what they ask is told to them. */
export class SupervisedSession implements HostedSession {
  readonly #supervisor: LocalSupervisor;
  readonly #session: Session;
  /** The name of this node. */
  readonly #node: string;
  readonly #exports: ExportPages;

  /** @throws CastellanError what `Supervisor.session` throws */
  constructor(supervisor: LocalSupervisor, name: SessionName, node: string, exports: ExportPages) {
    this.#supervisor = supervisor;
    this.#session = supervisor.session(name);
    this.#node = node;
    this.#exports = exports;
  }

  ask(asked: TurnAsked): TurnSource {
    const { idempotencyKey } = asked;
    return sourceOf(this.#session.stream(promptOf(asked), { idempotencyKey, ...turnOptionsOf(asked) }));
  }

  async turn(id: string): Promise<TurnSource | undefined> {
    const turn = await this.#session.turn(id);
    return turn === undefined ? undefined : sourceOf(turn);
  }

  async cancel(id: string): Promise<void> {
    const turn = await this.#session.turn(id);
    if (turn === undefined) return;
    // It may turn out to be one that the journal has, and that has ended; only then is it known what there is to cancel.
    await sourceOf(turn).accepted.catch(() => {});
    await turn.interrupt();
  }

  events(): AsyncGenerator<SessionEvent, void, undefined> {
    return this.#session.events();
  }

  async call(method: CallMethod, [first, second]: readonly unknown[]): Promise<unknown> {
    const session = this.#session;
    const supervisor = this.#supervisor;
    const who = `global session ${formatName(session.name)}`;
    const given = <Value>(schema: z.ZodType<Value>, value: unknown): Value => validate(schema, value, who, method);
    switch (method) {
      case "status":
        return { ...session.status(), node: this.#node };
      case "inspect":
        return inspectionOf(supervisor, session);
      case "health":
        return await session.health();
      case "interrupt":
        return await session.interrupt();
      case "hibernate":
        return await session.hibernate();
      case "wake":
        return await session.wake();
      case "restart":
        return await session.restart((first ?? {}) as ConversationOptions);
      case "clear":
        return await session.clear();
      case "stop":
        return await session.stop((first ?? {}) as ConversationOptions);
      case "history":
        return await session.history((first ?? {}) as HistoryOptions);
      case "usage":
        return await session.usage((first ?? {}) as UsageOptions);
      case "approvals":
        return session.approvals().map(({ approve: _, deny: _1, ...approval }) => approval);
      case "approve":
        return pending(session, first)?.approve(withoutUndefined(given(approvalChanges, second ?? {}))) ?? false;
      case "deny":
        return pending(session, first)?.deny(...(second === undefined ? [] : [given(text, second)])) ?? false;
      case "approvalHistory":
        return await session.approvalHistory((first ?? {}) as { limit?: number });
      case "setModel":
        return await session.setModel(given(text, first));
      case "setPermissionMode":
        return await session.setPermissionMode(given(text, first) as PermissionMode);
      case "mcpStatus":
        return await session.mcpStatus();
      case "reconnectMcpServer":
        return await session.reconnectMcpServer(given(text, first));
      case "toggleMcpServer":
        return await session.toggleMcpServer(given(text, first), given(z.boolean(), second));
      case "contextUsage":
        return await session.contextUsage();
      case "rewindFiles":
        return await session.rewindFiles(given(text, first), withoutUndefined(given(rewinding, second ?? {})));
      case "stopTask":
        return await session.stopTask(given(text, first));
      case "supportedCommands":
        return await session.supportedCommands();
      case "supportedModels":
        return await session.supportedModels();
      case "supportedAgents":
        return await session.supportedAgents();
      case "accountInfo":
        return await session.accountInfo();
      case "conversations":
        return await supervisor.conversationsOf(session.name);
      case "erase":
        return await supervisor.eraseSession(session.name, (first ?? {}) as EraseOptions);
      case "export":
        return await this.#exports.page(
          () => supervisor.exportSession(session.name),
          first === undefined ? undefined : given(text, first),
        );
      case "cancel":
      case "release":
      case "eraseFiles":
        throw invalidOptions("session", [{ field: method, message: "is not for a session to do" }]);
    }
  }
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
