import { checkout, pool, query, Supervisor, type SupervisorOptions, use } from "castellan";

// #region start
export async function startPool(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [pool("summaries", { min: 1, max: 4, maxTurns: 5, systemPrompt: "You summarise texts", lease: "5m" })],
    options,
  );
}
// #endregion

// #region query
export async function summarise(texts: readonly string[]): Promise<string[]> {
  const replies = await Promise.all(texts.map((text) => query("summaries", `Summarise this:\n${text}`)));
  return replies.map(({ text }) => text);
}
// #endregion

// #region checkout
export async function compare(first: string, second: string): Promise<string> {
  await using loan = await checkout("summaries", { timeout: "30s" });
  await loan.session.query(`Read this first: ${first}`);
  const { text } = await loan.session.query(`And how does this differ: ${second}`);
  return text;
}
// #endregion

// #region use
export async function titleOf(text: string): Promise<string> {
  return await use("summaries", async (session) => {
    await session.query(`Read this: ${text}`);
    const { text: title } = await session.query("Give it a title.");
    return title;
  });
}
// #endregion

// #region status
export function load(supervisor: Supervisor): string {
  const { size, max, lent, waiting } = supervisor.pool("summaries").status();
  return `${lent} of ${size} lent (at most ${max}), ${waiting} waiting`;
}
// #endregion
