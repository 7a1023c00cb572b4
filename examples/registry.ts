import { query, Registry, type Reply, type Session, Supervisor, type SupervisorOptions, via } from "castellan";

// #region named
const assistants = new Registry({ name: "assistants", keys: "unique" });

export async function start(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([{ name: via(assistants, "reviewer") }, { name: via(assistants, ["de", 7]) }], options);
}

export async function review(source: string): Promise<Reply> {
  return await query(via(assistants, "reviewer"), `Review this:\n${source}`);
}
// #endregion

// #region register
const experts = new Registry<Session>({ name: "experts", keys: "duplicate" });

export function enlist(session: Session, topic: string, languages: readonly string[]): Disposable {
  return experts.register(topic, session, { metadata: { languages } });
}

export async function askAll(topic: string, prompt: string): Promise<string[]> {
  const replies = experts.lookup(topic).map(({ value }) => query(value, prompt));
  return (await Promise.all(replies)).map(({ text }) => text);
}

export function speaking(language: string): Session[] {
  const entries = experts.select(({ metadata }) => (metadata["languages"] as string[]).includes(language));
  return entries.map(({ value }) => value);
}
// #endregion

// #region wait
export async function waitForReviewer(): Promise<Session> {
  return await assistants.whenRegistered("reviewer", { timeout: "10s" });
}
// #endregion
