import { constants } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { JournalOptions } from "../application/options/journal-options.ts";
import type { SupervisorOptions } from "../application/options/supervisor-options.ts";
import { Supervisor } from "../application/supervisor.ts";
import { RUN_AN_INIT, reapsOrphans } from "../claude/orphan-reaping.ts";
import { parentDeathPrefix } from "../claude/parent-death.ts";
import { readsMarkers } from "../claude/process-tree.ts";
import { systemClock } from "../clock.ts";
import { loadConfig } from "../config/load-config.ts";
import { withDeadline } from "../deadline.ts";
import { formatDuration } from "../duration.ts";
import { CastellanError } from "../errors.ts";
import { withoutUndefined } from "../fields.ts";
import { durabilityProblemsAt } from "../journal/postgres/postgres-durability.ts";
import { postgresLocation } from "../journal/postgres/postgres-location.ts";
import { exposureOf } from "../journal/sqlite/sqlite-exposure.ts";
import type { SessionOptions } from "../session/options/options.ts";

/** What was looked at, and what is wrong with it, in words that a person can act on. */
export interface Finding {
  readonly subject: string;
  /** `warning`: it works, with less than there could be. */
  readonly verdict: "ok" | "warning" | "failed";
  readonly message: string;
}

/** What is looked at. */
export interface DoctorOptions {
  /** The working directory of the session that is tried. */
  readonly cwd: string;
  /** A file of configuration, if it is not `castellan.config.*` in `cwd`. */
  readonly config?: string;
}

/** How long Claude Code may take to be up here. */
const START_MS = 60_000;

/**
 * Looks at all that sessions need on this machine: the platform, the configuration, the journal, and Claude Code itself,
 * of which one process is started and ended again. No tokens are used.
 */
export async function examine(options: DoctorOptions): Promise<Finding[]> {
  // Takes its time where nothing clears orphans away.
  const cleared = zombies();
  const findings: Finding[] = [{ subject: "Node.js", verdict: "ok", message: process.versions.node }, await orphans()];
  const { finding, options: configured } = await configuration(options);
  if (finding !== undefined) findings.push(finding);
  findings.push(await journal(options.cwd, configured.journal), ...(await databases(configured)));
  findings.push(await claude(options.cwd, configured), await cleared);
  return findings;
}

async function orphans(): Promise<Finding> {
  const subject = "processes of a dead host";
  if (!readsMarkers) {
    const message = `on ${process.platform} commands that Claude runs may outlive a host that is killed; use Linux in production`;
    return { subject, verdict: "warning", message };
  }
  if ((await parentDeathPrefix()).length > 0) return { subject, verdict: "ok", message: "end with it" };
  const message =
    "are ended at the next start only, since there is no `setpriv --pdeathsig`; install util-linux 2.33 or newer";
  return { subject, verdict: "warning", message };
}

async function zombies(): Promise<Finding> {
  const subject = "orphans";
  const reaped = await reapsOrphans(systemClock);
  if (reaped !== false)
    return { subject, verdict: "ok", message: reaped ? "are cleared away" : "are not looked at here" };
  const message = `are not cleared away, and pile up as zombies; ${RUN_AN_INIT}`;
  return { subject, verdict: "warning", message };
}

async function configuration({
  cwd,
  config,
}: DoctorOptions): Promise<{ readonly finding?: Finding; readonly options: SupervisorOptions }> {
  const subject = "configuration";
  const names = await readdir(cwd).catch(() => []);
  if (config === undefined && !names.some((name) => name.startsWith("castellan.config."))) return { options: {} };
  try {
    const loaded = await loadConfig(withoutUndefined({ cwd, file: config }));
    const message = `${loaded.files.join(", ")} for ${loaded.environment}, ${loaded.children.length} children`;
    return { finding: { subject, verdict: "ok", message }, options: loaded.options };
  } catch (error) {
    return { finding: { subject, verdict: "failed", message: wordsOf(error) }, options: {} };
  }
}

/** A journal that there is not is not made, only to look whether it can be. */
async function journal(cwd: string, configured: JournalOptions | undefined): Promise<Finding> {
  const subject = "journal";
  const file = configured === undefined ? join(cwd, ".castellan", "castellan.db") : fileOf(cwd, configured);
  if (configured === undefined && process.env["CASTELLAN_JOURNAL"]) {
    return { subject, verdict: "ok", message: "as CASTELLAN_JOURNAL says" };
  }
  if (file !== undefined && (await stat(file).catch(() => undefined)) === undefined) {
    const folder = await firstFolder(dirname(file));
    const denied = await access(folder, constants.W_OK).catch(wordsOf);
    return denied === undefined
      ? { subject, verdict: "ok", message: `${file} will be made` }
      : { subject, verdict: "failed", message: `${file} cannot be made: ${denied}` };
  }
  try {
    const supervisor = await Supervisor.start([], {
      journal: file === undefined ? (configured ?? "memory") : { sqlite: file },
      // What it would warn of is told here.
      logger: { info: () => {}, warn: () => {} },
    });
    await supervisor.stop();
    const exposures = file === undefined ? [] : exposureOf(file);
    if (exposures.length > 0) return { subject, verdict: "warning", message: exposures.join("; ") };
    return { subject, verdict: "ok", message: file ?? "can be opened" };
  } catch (error) {
    const inUse = CastellanError.is(error, "JOURNAL_IN_USE");
    return { subject, verdict: inUse ? "warning" : "failed", message: wordsOf(error) };
  }
}

/** Whether the databases of journal and cluster keep what they have confirmed. One that does not answer is the journal's finding. */
async function databases({ journal: kept, cluster }: SupervisorOptions): Promise<Finding[]> {
  const sources = [typeof kept === "object" && "postgres" in kept ? kept : undefined, cluster].filter(
    (source) => source !== undefined,
  );
  return await Promise.all(
    sources.map(async ({ postgres, schema }): Promise<Finding> => {
      const database = postgresLocation(withoutUndefined({ postgres, schema }));
      const subject = `database of ${database.label}`;
      try {
        const problems = await durabilityProblemsAt(database);
        if (problems.length === 0) return { subject, verdict: "ok", message: "keeps what it has confirmed" };
        return { subject, verdict: "warning", message: problems.join("; ") };
      } catch (error) {
        return { subject, verdict: "failed", message: wordsOf(error) };
      }
    }),
  );
}

async function claude(cwd: string, { defaults = {} }: SupervisorOptions): Promise<Finding> {
  const subject = "Claude Code";
  const since = performance.now();
  const session: SessionOptions = { cwd, ...defaults, isolate: false, name: "castellan-doctor", restart: "temporary" };
  const supervisor = await Supervisor.start([], { journal: "memory" });
  try {
    const started = supervisor.startSession(session);
    const running = await withDeadline(systemClock, START_MS, started, () => {
      throw new Error(`it was not up after ${formatDuration(START_MS)}`);
    });
    const { pid } = running.status();
    const took = Math.round(performance.now() - since);
    return { subject, verdict: "ok", message: `up after ${took} ms, as process ${pid}, and ended again` };
  } catch (error) {
    return { subject, verdict: "failed", message: wordsOf(error) };
  } finally {
    await supervisor.stop({ kill: true });
  }
}

function fileOf(cwd: string, configured: JournalOptions): string | undefined {
  return typeof configured === "object" && "sqlite" in configured ? resolve(cwd, configured.sqlite) : undefined;
}

/** The folder itself, or the nearest one above it that there is. */
async function firstFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  return found !== undefined || dirname(folder) === folder ? folder : await firstFolder(dirname(folder));
}

/** What an error says; of a session that did not come up, what its last exit says. */
function wordsOf(error: unknown): string {
  if (CastellanError.is(error, "SESSION_QUARANTINED")) {
    const last = error.details.lastExits.at(-1);
    if (last !== undefined) return last.message;
  }
  return error instanceof Error ? error.message : String(error);
}
