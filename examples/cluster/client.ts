import { type Cluster, type ConnectOptions, connect, global } from "castellan/cluster";

// #region connect
export function open(options: ConnectOptions): Cluster {
  return connect({ patience: "20s", ...options }); // sends no request yet
}
// #endregion

// #region ask
export async function ask(cluster: Cluster, userId: number, question: string, message: string): Promise<string> {
  const { text } = await cluster.query(global(["support", userId]), question, {
    timeout: "2m",
    idempotencyKey: message, // asking again, after a crash of the caller, returns the same turn
  });
  return text;
}
// #endregion

// #region where
export async function where(cluster: Cluster, userId: number): Promise<string> {
  const { node, state } = await cluster.session(global(["support", userId])).status();
  return `${state} on ${node}`;
}
// #endregion

// #region find
/** Returns a tenant's conversations, page by page, wherever they are. */
export async function conversationsOf(cluster: Cluster, tenant: string): Promise<string[]> {
  const titles: string[] = [];
  let page = await cluster.findSessions({ labels: { tenant } });
  for (; page.length > 0; page = await cluster.findSessions({ labels: { tenant }, after: page.at(-1)?.name })) {
    titles.push(...page.map(({ name, title = JSON.stringify(name) }) => title));
  }
  return titles;
}
// #endregion

// #region jobs
/** Returns the summaries of documents by their ids. Asking again, after a crash of the caller, asks no document twice. */
export async function summarise(cluster: Cluster, documents: ReadonlyMap<string, string>): Promise<string[]> {
  const pool = cluster.pool(global("summaries"));
  const enqueued = [...documents].map(([idempotencyKey, text]) =>
    pool.enqueue(`Summarise this:\n${text}`, { idempotencyKey }),
  );
  const turns = await Promise.all((await Promise.all(enqueued)).map((id) => pool.turn(id)));
  return await Promise.all(turns.map(async (turn) => (await turn?.result())?.text ?? ""));
}
// #endregion

// #region move
export async function move(cluster: Cluster, userId: number): Promise<string> {
  const { node } = await cluster.session(global(["support", userId])).status();
  const others = (await cluster.nodes()).filter(({ name, state }) => name !== node && state === "alive");
  const [target] = others.toSorted((one, other) => one.load - other.load);
  if (target === undefined) throw new Error("There is no other node.");
  await cluster.move(global(["support", userId]), target.name); // its running turn may finish; waiting turns run there
  return target.name;
}
// #endregion
