import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import type { z } from "zod";
import { clusterOf } from "./application/clusters.ts";
import { answerFrom, find, resolveRef, type SessionRef, turnTarget } from "./application/names/reference.ts";
import { registry } from "./application/names/registry.ts";
import { Supervisor } from "./application/supervisor.ts";
import type { GlobalSession } from "./cluster/global-session.ts";
import { CastellanError, type ExitRecord } from "./errors.ts";
import { withoutUndefined } from "./fields.ts";
import type { SessionName } from "./names.ts";
import type { Loan } from "./pool/loan.ts";
import type { CheckoutOptions, Pool } from "./pool/pool.ts";
import type { PoolTurnOptions } from "./pool/pool-turn.ts";
import { type GlobalName, type GlobalPlacement, globalName, isGlobalName } from "./session/options/global-name.ts";
import type { SessionDefaults } from "./session/options/options.ts";
import type { Prompt } from "./session/options/prompt.ts";
import type { SessionSettings } from "./session/options/session-settings.ts";
import type { TurnOptions } from "./session/options/turn-options.ts";
import { type Session, serverOf } from "./session/session.ts";
import type { Reply } from "./session/streams/reply.ts";
import type { Turn } from "./session/streams/turn.ts";
import type { Touched } from "./session/touching.ts";

/**
 * Queries a session of this process by name, in any supervisor, and waits for the reply. With the name of a pool, same as
 * {@link Pool.query}.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`; otherwise as {@link Session.query}
 * @example
 * const { text } = await query("reviewer", `Review this function:\n${source}`, { timeout: "2m" });
 */
export async function query<Structured = unknown>(
  session: SessionRef | GlobalName,
  prompt: Prompt,
  options: PoolTurnOptions<Structured> = {},
): Promise<Reply<Structured>> {
  if (isGlobalName(session)) return await clusterOf(session).query(session, prompt, options);
  return await answerFrom(session, (one, own) => turnTarget(one).stream(prompt, own), options);
}

/**
 * Queries a session of this process by name and returns the turn, to read while it runs. With the name of a pool, same as
 * {@link Pool.stream}.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`; otherwise as {@link Session.stream}
 * @example
 * for await (const text of stream("assistant", "Analyse this data").text()) process.stdout.write(text);
 */
export function stream<Structured = unknown>(
  session: SessionRef | GlobalName,
  prompt: Prompt,
  options: PoolTurnOptions<Structured> = {},
): Turn<Structured> {
  if (isGlobalName(session)) return clusterOf(session).stream(session, prompt, options);
  return turnTarget(resolveRef(session)).stream(prompt, options);
}

/**
 * Returns the session of this name, in any supervisor of this process; a global session on any node.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`; `CLUSTER_UNAVAILABLE` for a global name if this process is in no cluster
 */
export function session(name: GlobalName): GlobalSession;
export function session(name: SessionRef): Session;
export function session(name: SessionRef | GlobalName): Session | GlobalSession {
  return isGlobalName(name) ? clusterOf(name).session(name) : find(name);
}

/**
 * Begins to start the process of a session ahead of its next turn, for example when a user opens the page of a conversation; see
 * {@link Session.touch}. A global session starts on the node that owns it.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`; otherwise as {@link Session.touch}
 * @example
 * await touch(["support", userId]); // the first token of the next answer comes sooner
 */
export async function touch(name: SessionRef | GlobalName): Promise<Touched> {
  return await (isGlobalName(name) ? session(name) : session(name)).touch();
}

/**
 * Makes the name of a session, template or pool that exists once in a cluster, on any of its machines. {@link query},
 * {@link stream} and {@link session} accept it, and so do the children of a supervisor with the option `cluster`.
 *
 * @param name the name itself, or as statuses and lists show it: `["global", "support", 42]` is the same as `["support", 42]`
 * @param placement which nodes can host it; for declarations
 * @throws CastellanError `INVALID_OPTIONS` for an invalid name
 * @example
 * await Supervisor.start([{ name: global("reviewer") }, template(global("support"), (id) => ({ … }))], { cluster: { … } });
 * await query(global(["support", 42]), "Hello"); // on any node, or on a client that has called `connect`
 */
export function global(name: SessionName, placement: GlobalPlacement = {}): GlobalName {
  return globalName(name, placement);
}

/**
 * Lends a member of a pool of this process once one is free; see {@link Pool.checkout}. Bind the loan with `await using` to check
 * it in at the end of the scope.
 *
 * @throws CastellanError `POOL_NOT_FOUND`; otherwise as {@link Pool.checkout}
 * @example
 * await using loan = await checkout("summaries", { timeout: "30s" });
 * await loan.session.query("Read this first: …");
 * const { text } = await loan.session.query("And now summarise it.");
 */
export async function checkout(pool: string, options: CheckoutOptions = {}): Promise<Loan> {
  return await poolOf(pool).checkout(options);
}

/**
 * Lends a member of a pool of this process to a function, and takes it back when the function returns or throws; see
 * {@link Pool.use}.
 *
 * @throws CastellanError `POOL_NOT_FOUND`; otherwise as {@link Pool.checkout}; anything that `work` throws
 * @example
 * const { text } = await use("summaries", async (session) => {
 *   await session.query("Read this first: …");
 *   return await session.query("And now summarise it.");
 * });
 */
export async function use<Result>(
  pool: string,
  work: (session: Session) => Promise<Result> | Result,
  options: CheckoutOptions = {},
): Promise<Result> {
  return await poolOf(pool).use(work, options);
}

function poolOf(name: string): Pool {
  const pool = registry.pool(name);
  if (pool === undefined) throw registry.poolNotFound(name);
  return pool;
}

/** Options of a turn in a temporary session. */
export interface OnceOptions<Structured = unknown>
  extends Omit<
      SessionDefaults,
      | "timeout"
      | "queueTimeout"
      | "whenBusy"
      | "mailboxLimit"
      | "budget"
      | "onInterruptedTurn"
      | "restart"
      | "outputSchema"
    >,
    Pick<TurnOptions, "timeout" | "signal"> {
  /** The schema of the reply's `structured`. */
  outputSchema?: z.ZodType<Structured>;
}

/**
 * Runs one turn in a temporary session and process, which end with the reply. With `isolate`, its directory is removed, too.
 * Nothing is restarted; an interrupted turn fails. Deadline and signal count from the call. Rejects only once the process is
 * gone.
 *
 * @throws CastellanError `INVALID_OPTIONS`; `START_FAILED` with the exit if the process did not start; otherwise as
 * {@link Session.query}
 * @example
 * const { text } = await once("Summarise this: …", { model: "claude-haiku-4-5", timeout: "1m" });
 */
export async function once<Structured = unknown>(
  prompt: Prompt,
  options: OnceOptions<Structured> = {},
): Promise<Reply<Structured>> {
  const { timeout, signal, ...shape } = options;
  const turn: TurnOptions<Structured> = withoutUndefined({ timeout, signal, outputSchema: options.outputSchema });
  const name = ["once", randomUUID()] as const;
  const own = { ...shape, name, restart: "temporary", onInterruptedTurn: "fail" } as const;
  const silent = { info: () => {}, warn: () => {} };
  const starting = Supervisor.start([own], { logger: silent, journal: "memory" });
  let session: Session | undefined;
  try {
    // Queried before the process is ready, so that deadline and signal count from the call.
    session = registry.find(name);
    return await session.query(prompt, turn);
  } catch (error) {
    // Without a session, the options were rejected: the start has the error.
    if (session === undefined) await starting;
    throw startFailure(error, session?.status().lastExit) ?? error;
  } finally {
    const directory = session === undefined ? undefined : serverOf(session)?.settings.ownDirectory;
    await session?.[Symbol.asyncDispose]();
    await starting.then(
      (supervisor) => supervisor.stop(),
      () => {},
    );
    if (directory !== undefined) await removeScratch(directory.path);
  }
}

/** Removes the session's directory, best effort: a failure must not lose the reply. */
async function removeScratch(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) => {
    process.emitWarning(`\`once\` could not remove ${path}: ${error}`, { type: "CastellanWarning" });
  });
}

/** The result of a {@link probe}. */
export type ProbeResult =
  | { readonly ok: true; readonly durationMs: number; readonly costUsd: number }
  | { readonly ok: false; readonly durationMs: number; readonly error: CastellanError };

/**
 * Checks whether the model replies with a session's key, model, environment and directory: queries it for one word in a process
 * of its own. The session's conversation is not touched, and the session need not run. Costs a few tokens. {@link Session.health}
 * checks without a query.
 *
 * @param options.timeout default `"1m"`
 * @throws CastellanError `SESSION_NOT_FOUND`, `INVALID_OPTIONS`; all other errors are the result
 * @example
 * const { ok } = await probe("assistant", { timeout: "30s" });
 */
export async function probe(
  session: SessionRef,
  options: Pick<OnceOptions, "timeout" | "signal"> = {},
): Promise<ProbeResult> {
  const server = serverOf(find(session));
  if (server === undefined) throw registry.notFound(find(session).name);
  const began = performance.now();
  const sinceMs = (): number => performance.now() - began;
  try {
    const { costUsd } = await once(PROBE, {
      timeout: "1m",
      ...withoutUndefined(options),
      ...probeOptions(server.settings),
    });
    return { ok: true, durationMs: sinceMs(), costUsd };
  } catch (error) {
    if (!CastellanError.is(error) || CastellanError.is(error, "INVALID_OPTIONS")) throw error;
    return { ok: false, durationMs: sinceMs(), error };
  }
}

const PROBE = "Answer with the word ok, and nothing else.";

/** Returns the options that decide whether the model can be reached, without the session's tools, hooks and servers. */
function probeOptions({ sdk, apiKey, inheritEnv, ownDirectory }: SessionSettings): OnceOptions {
  const { model, env, pathToClaudeCodeExecutable, spawnClaudeCodeProcess } = sdk;
  const reach = { model, env, pathToClaudeCodeExecutable, spawnClaudeCodeProcess, apiKey, inheritEnv };
  // A sibling of the session's own directory, which may not exist yet.
  const directory =
    ownDirectory === undefined ? { cwd: sdk.cwd, isolate: false } : { isolate: { root: ownDirectory.root } };
  return { ...withoutUndefined({ ...reach, ...directory }), tools: [], maxTurns: 1 };
}

/** Returns the error of a temporary session that did not start, without naming that session. */
function startFailure(error: unknown, exit: ExitRecord | undefined): CastellanError<"START_FAILED"> | undefined {
  const never = CastellanError.is(error, "SESSION_STOPPED") || CastellanError.is(error, "SESSION_QUARANTINED");
  if (!never || exit === undefined) return undefined;
  const message = `The process of a single turn did not start: ${exit.message}.`;
  return new CastellanError("START_FAILED", message, { details: { exit }, cause: error });
}
