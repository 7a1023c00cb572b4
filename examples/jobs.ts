import { pool, Supervisor, type SupervisorOptions } from "castellan";

// #region start
export async function startSummaries(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [pool("summaries", { min: 1, max: 4, maxTurns: 5, systemPrompt: "You summarise texts" })],
    options,
  );
}
// #endregion

// #region enqueue
/** Enqueues a job for each document, and returns the ids of their turns. Documents are known by their ids. */
export async function summariseAll(supervisor: Supervisor, documents: ReadonlyMap<string, string>): Promise<string[]> {
  const summaries = supervisor.pool("summaries");
  const jobs = [...documents].map(([document, text]) =>
    summaries.enqueue(`Summarise this:\n${text}`, { idempotencyKey: document, metadata: { document } }),
  );
  return await Promise.all(jobs);
}
// #endregion

// #region job
export async function summaryOf(supervisor: Supervisor, id: string): Promise<string | undefined> {
  const turn = await supervisor.pool("summaries").turn(id);
  return (await turn?.result())?.text; // waits for the job, or throws the error with which it ended
}
// #endregion

// #region failed
/** Returns the documents whose jobs have failed, and why. */
export async function failed(supervisor: Supervisor): Promise<{ document: unknown; why: string | undefined }[]> {
  const turns = await supervisor.pool("summaries").turns({ state: ["failed", "interrupted", "timed_out"] });
  return turns.map(({ metadata, error }) => ({ document: metadata?.["document"], why: error?.code }));
}
// #endregion
