import { query, type Reply, type Session, Supervisor, type SupervisorOptions, template } from "castellan";

// #region start
export async function startProject(supervisor: Supervisor, project: string, cwd: string): Promise<Session> {
  return await supervisor.startSession({
    name: ["project", project],
    systemPrompt: `You work on the project ${project}`,
    cwd,
    idleTimeout: "30m",
  });
}

export async function endProject(supervisor: Supervisor, project: string): Promise<void> {
  await supervisor.terminateSession(["project", project]);
}
// #endregion

// #region template
export async function startSupport(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [
      template("support", (userId: number) => ({
        systemPrompt: `You help user ${userId}`,
        idleTimeout: "10m",
        budget: { usd: 1, per: "day" },
      })),
    ],
    { ...options, capacity: { maxProcesses: 16, memoryBudget: "6GB" } },
  );
}

export async function support(userId: number, message: string): Promise<Reply> {
  return await query(["support", userId], message, { timeout: "2m" });
}
// #endregion

// #region scope
export async function inDraft(supervisor: Supervisor, work: (draft: Session) => Promise<void>): Promise<void> {
  await using draft = await supervisor.session("assistant").fork("draft");
  await work(draft);
}
// #endregion
