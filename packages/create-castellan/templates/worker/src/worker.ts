import { createHash } from "node:crypto";
import { on } from "node:events";
import { watch } from "node:fs";
import { mkdir, readdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { CastellanError, type Supervisor } from "castellan";

/** Where texts come from, and where their summaries go. */
export interface Folders {
  readonly inbox: string;
  readonly outbox: string;
}

/**
 * Summarises each file of the inbox into a file of the outbox, until `signal` is aborted. A job is in the journal before it runs. If the
 * worker is killed, it goes on at its next start, and no file is summarised twice.
 */
export async function work(supervisor: Supervisor, folders: Folders, signal: AbortSignal): Promise<void> {
  for (const folder of [folders.inbox, folders.outbox]) await mkdir(folder, { recursive: true });
  /** The files whose jobs run, and whether they have changed meanwhile. */
  const running = new Map<string, boolean>();
  const begin = async (name: string): Promise<void> => {
    if (name.startsWith(".")) return;
    if (running.has(name)) return void running.set(name, true);
    do {
      running.set(name, false);
      await summarise(supervisor, folders, name).catch((error) => report(name, error));
    } while (running.get(name) && !signal.aborted);
    running.delete(name);
  };
  // Watches before it looks, so that it misses no file.
  const changes = on(watch(folders.inbox, { signal }), "change", { signal });
  try {
    for (const name of await readdir(folders.inbox)) void begin(name);
    for await (const [, name] of changes) if (name !== null) void begin(String(name));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Summarises one file, unless its summary exists. An empty file is one that somebody has only begun to write. */
export async function summarise(supervisor: Supervisor, { inbox, outbox }: Folders, name: string): Promise<void> {
  const text = await textOf(join(inbox, name));
  if (text === "") return;
  const digest = createHash("sha256").update(text).digest("hex");
  const target = join(outbox, `${name}.${digest.slice(0, 8)}.md`);
  if (await exists(target)) return;
  const jobs = supervisor.pool("summaries");
  // The same key is the same job: after a restart this waits for the job of before, or gets its result.
  const id = await jobs.enqueue(`Summarise this text:\n\n${text}`, { idempotencyKey: `${name}:${digest}` });
  const turn = await jobs.turn(id);
  const reply = await turn?.result();
  if (reply === undefined) throw new Error("the journal no longer has the job");
  // In one step, so that nobody reads half a summary.
  await writeFile(`${target}.part`, `${reply.text}\n`);
  await rename(`${target}.part`, target);
  console.log(`${name}: done, $${reply.costUsd.toFixed(4)}`);
}

/** The text of a file; empty if somebody has removed it. */
async function textOf(path: string): Promise<string> {
  return await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
}

async function exists(path: string): Promise<boolean> {
  return await readFile(path).then(
    () => true,
    () => false,
  );
}

function report(name: string, error: unknown): void {
  // The worker ends. Its next start has the job.
  if (CastellanError.is(error, "SUPERVISOR_STOPPED")) return;
  console.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
}
