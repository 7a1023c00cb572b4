import {
  type Balancer,
  balance,
  fallback,
  pool,
  query,
  type Reply,
  Supervisor,
  type SupervisorOptions,
} from "castellan";

const REVIEWERS = ["reviewer-a", "reviewer-b", "reviewer-c"];

export async function start(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([...REVIEWERS.map((name) => ({ name })), { name: "backup" }], options);
}

// #region sessions
const reviewers = balance(REVIEWERS, "round_robin");

export async function review(source: string): Promise<Reply> {
  return await query(reviewers, `Review this:\n${source}`);
}
// #endregion

// #region key
const byUser = balance(REVIEWERS, "consistent_hash");

export async function reviewFor(userId: string, source: string): Promise<Reply> {
  return await query(byUser.by(userId), `Review this:\n${source}`);
}
// #endregion

// #region own
const leastErrors: Balancer = {
  pick: (candidates) => candidates.toSorted((a, b) => a.errors - b.errors || a.load - b.load)[0],
};

export async function startOwn(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([pool("summaries", { size: 2, balance: leastErrors })], options);
}
// #endregion

// #region fallback
export async function ask(prompt: string): Promise<Reply> {
  return await query(fallback(["reviewer-a", "backup"]), prompt, { timeout: "2m" });
}
// #endregion
