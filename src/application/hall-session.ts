import { randomUUID } from "node:crypto";
import type { PermissionMode, PermissionUpdate } from "@anthropic-ai/claude-agent-sdk";
import { z } from "zod";
import { systemClock } from "../clock.ts";
import type { CallMethod, TurnAsked } from "../cluster/frames.ts";
import type { HallSession } from "../cluster/hall.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName, nameKey, type SessionName } from "../names.ts";
import type { Pool } from "../pool/pool.ts";
import type { Approval } from "../session/approval.ts";
import { command } from "../session/command.ts";
import type { EraseOptions } from "../session/erasure.ts";
import { GLOBAL } from "../session/global-name.ts";
import type { HistoryOptions } from "../session/history.ts";
import type { Prompt } from "../session/prompt.ts";
import type { ConversationOptions, Session } from "../session/session.ts";
import { sourceOf, type Turn } from "../session/turn.ts";
import { keyedTurnId } from "../session/turn-id.ts";
import type { TurnOptions } from "../session/turn-options.ts";
import type { TurnSource } from "../session/turn-source.ts";
import type { UsageOptions } from "../session/usage.ts";
import { invalidOptions, validate } from "../session/validation.ts";
import { ExportPages } from "./export-pages.ts";
import type { Supervisor } from "./supervisor.ts";

/**
 * A session of a supervisor, as other nodes may use it. What is wrong with what they ask is told to them.
 *
 * @param node the name of this node
 */
export function hallSession(supervisor: Supervisor, name: SessionName, node: string): HallSession {
  const session = supervisor.session(name);
  return {
    ask: (asked) =>
      sourceOf(session.stream(promptOf(asked), { idempotencyKey: asked.idempotencyKey, ...optionsOf(asked) })),
    turn: async (id) => {
      const turn = await session.turn(id);
      return turn === undefined ? undefined : sourceOf(turn);
    },
    cancel: async (id) => {
      const turn = await session.turn(id);
      if (turn === undefined) return;
      // It may turn out to be one that the journal has, and that has ended; only then is it known what there is to cancel.
      await sourceOf(turn).accepted.catch(() => {});
      await turn.interrupt();
    },
    call: async (method, args) =>
      method === "status" ? { ...session.status(), node } : await call(supervisor, session, method, args),
    events: () => session.events(),
  };
}

/** The exports that other nodes read of each supervisor. */
const exportPages = new WeakMap<Supervisor, ExportPages>();

function pagesOf(supervisor: Supervisor): ExportPages {
  const pages = exportPages.get(supervisor) ?? new ExportPages(systemClock, randomUUID);
  exportPages.set(supervisor, pages);
  return pages;
}

/** What has been made of pools: their turns have to be found again. */
const hallPools = new WeakMap<Pool, HallSession>();

/** A pool, as other nodes may use it: each turn is for the member that is picked for it. The same for the same pool. */
export function hallPool(name: string, pool: Pool): HallSession {
  const made = hallPools.get(pool) ?? newHallPool(name, pool);
  hallPools.set(pool, made);
  return made;
}

function newHallPool(name: string, pool: Pool): HallSession {
  const key = nameKey([GLOBAL, name]);
  const turns = new Map<string, Turn>();
  return {
    ask: (asked): TurnSource => {
      const turn = pool.stream(promptOf(asked), optionsOf(asked));
      const id = keyedTurnId(key, asked.idempotencyKey);
      turns.set(id, turn);
      const over = (): void => void turns.delete(id);
      turn.result().then(over, over);
      return sourceOf(turn);
    },
    turn: async () => undefined,
    cancel: async (id) => await turns.get(id)?.interrupt(),
    call: async (method) => {
      if (method === "status") return pool.status();
      throw invalidOptions("pool", [{ field: method, message: "is no method of a pool" }]);
    },
    events: async function* () {},
  };
}

function promptOf({ prompt, command: call }: TurnAsked): Prompt {
  return call === undefined ? prompt : command(call.name, call.args);
}

function optionsOf({
  timeoutMs: timeout,
  queueTimeoutMs: queueTimeout,
  whenBusy,
  verbatimPrompts,
}: TurnAsked): TurnOptions {
  return withoutUndefined({ timeout, queueTimeout, whenBusy, verbatimPrompts }) as TurnOptions;
}

const text = z.string();
const approvalChanges = z.looseObject({
  input: z.record(z.string(), z.unknown()).optional(),
  rules: z.array(z.custom<PermissionUpdate>((value) => typeof value === "object" && value !== null)).optional(),
});
const rewinding = z.object({ dryRun: z.boolean().optional() });

async function call(
  supervisor: Supervisor,
  session: Session,
  method: CallMethod,
  [first, second]: readonly unknown[],
): Promise<unknown> {
  const who = `global session ${formatName(session.name)}`;
  const given = <Value>(schema: z.ZodType<Value>, value: unknown): Value => validate(schema, value, who, method);
  switch (method) {
    case "status":
      return session.status();
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
      return await pagesOf(supervisor).page(
        () => supervisor.exportSession(session.name),
        first === undefined ? undefined : given(text, first),
      );
    case "cancel":
    case "release":
    case "eraseFiles":
      throw invalidOptions("session", [{ field: method, message: "is not for a session to do" }]);
  }
}

/** Of one that is about to begin there is only its status. */
function inspectionOf(supervisor: Supervisor, session: Session): unknown {
  const key = nameKey(session.name);
  const { children } = supervisor.inspect();
  const found = children.find((child) => child.kind === "session" && nameKey(child.status.name) === key);
  return found ?? { kind: "session", status: session.status() };
}

function pending(session: Session, id: unknown): Approval | undefined {
  return session.approvals().find((approval) => approval.id === id);
}
