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
import type { CheckoutOptions, Pool, PoolTurnOptions } from "./pool/pool.ts";
import { type GlobalName, type GlobalPlacement, globalName, isGlobalName } from "./session/options/global-name.ts";
import type { SessionDefaults } from "./session/options/options.ts";
import type { Prompt } from "./session/options/prompt.ts";
import type { SessionSettings } from "./session/options/session-settings.ts";
import type { TurnOptions } from "./session/options/turn-options.ts";
import { type Session, serverOf } from "./session/session.ts";
import type { Reply } from "./session/streams/reply.ts";
import type { Turn } from "./session/streams/turn.ts";

/**
 * Asks a session of this process by name, whichever supervisor holds it, and waits for the answer. With the name of a pool it is
 * {@link Pool.query}.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, and what {@link Session.query} throws
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
 * Asks a session of this process by name and returns the turn, to be read while it runs. With the name of a pool it is
 * {@link Pool.stream}.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, and what {@link Session.stream} throws
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
 * The session of this name, whichever supervisor of this process holds it; a global one wherever it is.
 *
 * @throws CastellanError `SESSION_NOT_FOUND`, `CLUSTER_UNAVAILABLE` for a global name if this process takes part in no cluster
 */
export function session(name: GlobalName): GlobalSession;
export function session(name: SessionRef): Session;
export function session(name: SessionRef | GlobalName): Session | GlobalSession {
  return isGlobalName(name) ? clusterOf(name).session(name) : find(name);
}

/**
 * The name of a session, a template or a pool that is there once in a cluster, whichever of its machines it is on. Accepted
 * by {@link query}, {@link stream} and {@link session}, and as the name of a child of a supervisor that has the option `cluster`.
 *
 * @param name of its own, or as statuses and lists show it: `["global", "support", 42]` is `["support", 42]`
 * @param placement where it is declared: which nodes can host it
 * @throws CastellanError `INVALID_OPTIONS` if it is no name
 * @example
 * await Supervisor.start([{ name: global("reviewer") }, template(global("support"), (id) => ({ … }))], { cluster: { … } });
 * await query(global(["support", 42]), "Hello"); // on any node, or on a client that has called `connect`
 */
export function global(name: SessionName, placement: GlobalPlacement = {}): GlobalName {
  return globalName(name, placement);
}

/**
 * Lends a member of a pool of this process, as soon as one is free; see {@link Pool.checkout}. It is given back with the scope that
 * holds it.
 *
 * @throws CastellanError `POOL_NOT_FOUND`, and what {@link Pool.checkout} throws
 * @example
 * await using loan = await checkout("summaries", { timeout: "30s" });
 * await loan.session.query("Read this first: …");
 * const { text } = await loan.session.query("And now summarise it.");
 */
export async function checkout(pool: string, options: CheckoutOptions = {}): Promise<Loan> {
  return await poolOf(pool).checkout(options);
}

/**
 * Lends a member of a pool of this process to a function, and has it back however that ends; see {@link Pool.use}.
 *
 * @throws CastellanError `POOL_NOT_FOUND`, what {@link Pool.checkout} throws, and whatever `work` does
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

/** Options of a turn with a session of its own. */
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
  /** The form of the answer, which then stands in `reply.structured`. */
  outputSchema?: z.ZodType<Structured>;
}

/**
 * Asks once, in a session and process of its own that end with the answer, and with `isolate` in a directory that is removed then.
 * Nothing is restarted; a turn that is cut fails. Deadline and signal count from the call; what ends the call is thrown when no process is left.
 *
 * @throws CastellanError `INVALID_OPTIONS`, how the turn can end, or `START_FAILED` with the exit if there was no process
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
    // Asked before the process is up, so that deadline and signal count from the call.
    session = registry.find(name);
    return await session.query(prompt, turn);
  } catch (error) {
    // Nobody is there to be asked if the options were refused.
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

/** Nobody can name this session again. What cannot be removed is no reason to lose the answer. */
async function removeScratch(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch((error: unknown) => {
    process.emitWarning(`\`once\`: ${path} could not be removed: ${error}`, { type: "CastellanWarning" });
  });
}

/** What a {@link probe} found. */
export type ProbeResult =
  | { readonly ok: true; readonly durationMs: number; readonly costUsd: number }
  | { readonly ok: false; readonly durationMs: number; readonly error: CastellanError };

/**
 * Whether the model answers with a session's key, model, environment and directory: asks it for a word, in a process of its own,
 * so that nothing of it is in the session's conversation and the session need not be up. Costs a few tokens.
 * {@link Session.health} asks without.
 *
 * @param options.timeout default `"1m"`
 * @throws CastellanError `SESSION_NOT_FOUND`, `INVALID_OPTIONS`; whatever else goes wrong is the answer
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

/** What decides whether the model can be reached; the session's tools, hooks and servers are left alone. */
function probeOptions({ sdk, apiKey, inheritEnv, ownDirectory }: SessionSettings): OnceOptions {
  const { model, env, pathToClaudeCodeExecutable, spawnClaudeCodeProcess } = sdk;
  const reach = { model, env, pathToClaudeCodeExecutable, spawnClaudeCodeProcess, apiKey, inheritEnv };
  // One beside that of the session, which may not be there yet.
  const directory =
    ownDirectory === undefined ? { cwd: sdk.cwd, isolate: false } : { isolate: { root: ownDirectory.root } };
  return { ...withoutUndefined({ ...reach, ...directory }), tools: [], maxTurns: 1 };
}

/** What ended a session that nobody knows, in words that do not speak of it. */
function startFailure(error: unknown, exit: ExitRecord | undefined): CastellanError<"START_FAILED"> | undefined {
  const never = CastellanError.is(error, "SESSION_STOPPED") || CastellanError.is(error, "SESSION_QUARANTINED");
  if (!never || exit === undefined) return undefined;
  const message = `The process for a single turn could not be started: ${exit.message}.`;
  return new CastellanError("START_FAILED", message, { details: { exit }, cause: error });
}
