import { withoutUndefined } from "../fields.ts";
import type { SessionCore } from "./session-core.ts";
import { type SessionStatus, waitingOf } from "./status/session-status.ts";

/** Returns a snapshot of a session. */
export function statusOf(core: SessionCore): SessionStatus {
  const { name } = core.settings;
  const retryAt = core.state.name === "restarting" ? core.state.retryAt : undefined;
  const { running } = core.dispatcher;
  const waitingFor = waitingOf(
    core.view.pending,
    core.dispatcher.hold,
    core.process.state === "queued" || core.dispatcher.inLine,
  );
  const { permissionMode } = core.conversation;
  const { pid, activation, memoryBytes, lastExit } = core.process;
  const { lastSignOfLife } = core.output;
  return withoutUndefined({
    name,
    state: core.view.state,
    pid,
    startedAt: activation?.startedAt,
    memoryBytes,
    ...core.journal.description.now,
    conversationId: core.conversation.now.id,
    starts: core.process.starts,
    lastSignOfLife,
    waitingFor,
    turn: running && { id: running.record.id, origin: running.record.origin, since: running.startedAt },
    permissionMode,
    backgroundTasks: core.view.backgroundTasks,
    tasks: core.output.tasks,
    wakeups: core.output.wakeups,
    mcpServers: core.view.servers.length === 0 ? undefined : core.view.servers,
    faults: core.view.faults,
    mailbox: core.dispatcher.waiting,
    restarts: core.process.restarts,
    lastExit,
    retryAt,
  });
}
