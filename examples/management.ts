import { formatInspection, type ReconcileReport, type Session, type Supervisor } from "castellan";

// #region list
export function busySessions(supervisor: Supervisor): string[] {
  return supervisor
    .listSessions()
    .filter(({ state }) => state === "busy")
    .map(({ name, pid, mailbox }) => `${JSON.stringify(name)} pid ${pid}, ${mailbox} waiting`);
}
// #endregion

// #region find
/** Returns the titles of a user's conversations, page by page, also of those that are not in memory. */
export async function conversationsOf(supervisor: Supervisor, user: string): Promise<string[]> {
  const titles: string[] = [];
  let page = await supervisor.findSessions({ labels: { user } });
  for (; page.length > 0; page = await supervisor.findSessions({ labels: { user }, after: page.at(-1)?.name })) {
    titles.push(...page.map(({ name, title = JSON.stringify(name) }) => title));
  }
  return titles;
}

export async function putAway(conversation: Session): Promise<void> {
  await conversation.describe({ archived: true });
}
// #endregion

// #region restart
export async function reloadFiles(supervisor: Supervisor): Promise<void> {
  await supervisor.restartSession("assistant"); // another process, the same conversation
}

export async function startOver(supervisor: Supervisor): Promise<void> {
  await supervisor.restartSession("assistant", { conversation: "clear" }); // another process, an empty conversation
}

export async function close(supervisor: Supervisor): Promise<void> {
  await supervisor.terminateSession("assistant");
}
// #endregion

// #region reconcile
export async function apply(supervisor: Supervisor, assistants: Record<string, string>): Promise<ReconcileReport> {
  const children = Object.entries(assistants).map(([name, systemPrompt]) => ({ name, systemPrompt }));
  return await supervisor.reconcile(children);
}
// #endregion

// #region inspect
export function show(supervisor: Supervisor): string {
  return formatInspection(supervisor.inspect());
}
// #endregion

// #region spending
export async function spending(supervisor: Supervisor, since: string): Promise<Map<string, number>> {
  const reports = await supervisor.usage({ by: ["session"], since });
  return new Map(reports.map(({ session, costUsd }) => [JSON.stringify(session), costUsd]));
}
// #endregion

// #region end
export async function shutDown(supervisor: Supervisor): Promise<boolean> {
  const { completed } = await supervisor.drain({ deadline: "25s" });
  return completed;
}
// #endregion
