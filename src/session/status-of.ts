import type { SessionCore } from "./session-core.ts";
import { type SessionStatus, waitingOf } from "./status/session-status.ts";

/** What is known of a session at this moment. */
export function statusOf(core: SessionCore): SessionStatus {
  const { name } = core.settings;
  const retryAt = core.state.name === "restarting" ? core.state.retryAt : undefined;
  const { running } = core.dispatcher;
  const waitingFor = waitingOf(
    core.view.approvals.pending,
    core.dispatcher.wait,
    core.process.state === "queued" || core.dispatcher.inLine,
  );
  const { permissionMode } = core.conversation;
  const { pid, activation, memoryBytes, lastExit } = core.process;
  const { lastSignOfLife } = core.output;
  return {
    name,
    state: core.view.state,
    ...(pid === undefined ? {} : { pid }),
    ...(activation === undefined ? {} : { startedAt: activation.startedAt }),
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    conversationId: core.conversation.now.id,
    activation: core.process.count,
    ...(lastSignOfLife === undefined ? {} : { lastSignOfLife }),
    ...(waitingFor === undefined ? {} : { waitingFor }),
    ...(running === undefined
      ? {}
      : { turn: { id: running.record.id, origin: running.record.origin, since: running.startedAt } }),
    ...(permissionMode === undefined ? {} : { permissionMode }),
    backgroundTasks: core.view.backgroundTasks,
    tasks: core.output.tasks,
    wakeups: core.output.wakeups,
    ...(core.view.servers.length === 0 ? {} : { mcpServers: core.view.servers }),
    faults: core.view.faults,
    mailbox: core.dispatcher.waiting,
    restarts: core.process.restarts,
    ...(lastExit === undefined ? {} : { lastExit }),
    ...(retryAt === undefined ? {} : { retryAt }),
  };
}
