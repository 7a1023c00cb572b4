import { constants } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { JournalOptions } from "../../application/options/journal-options.ts";
import type { SupervisorOptions } from "../../application/options/supervisor-options.ts";
import { Supervisor } from "../../application/supervisor.ts";
import { RUN_AN_INIT, reapsOrphans } from "../../claude/orphan-reaping.ts";
import { parentDeathPrefix } from "../../claude/parent-death.ts";
import { readsMarkers } from "../../claude/process-tree.ts";
import { transcriptLocationOf } from "../../claude/transcript-location.ts";
import { systemClock } from "../../clock.ts";
import { loadConfig } from "../../config/load-config.ts";
import { withDeadline } from "../../deadline.ts";
import { formatDuration } from "../../duration.ts";
import { CastellanError } from "../../errors.ts";
import { withoutUndefined } from "../../fields.ts";
import { durabilityProblemsAt } from "../../journal/postgres/postgres-durability.ts";
import { postgresLocation } from "../../journal/postgres/postgres-location.ts";
import { exposureOf } from "../../journal/sqlite/sqlite-exposure.ts";
import type { SessionOptions } from "../../session/options/options.ts";
import type { Finding } from "./finding.ts";
import { hostMemory, memoryHere, nodeFlags } from "./host-memory.ts";

/** Options of the checks. */
export interface DoctorOptions {
  /** The working directory of the test session. */
  readonly cwd: string;
  /** The path of a config file other than `castellan.config.*` in `cwd`. */
  readonly config?: string;
}

/** How long Claude Code may take to start here. */
const START_MS = 60_000;

/**
 * Checks everything that sessions need on this machine: the platform, the config, the journal, and Claude Code itself, which is
 * started and stopped once. Uses no tokens.
 */
export async function examine(options: DoctorOptions): Promise<Finding[]> {
  // Takes several seconds where nothing reaps orphans.
  const cleared = zombies();
  const findings: Finding[] = [
    { subject: "Node.js", verdict: "ok", message: process.versions.node },
    hostMemory(memoryHere(), nodeFlags()),
    await orphans(),
  ];
  const { finding, options: configured } = await configuration(options);
  if (finding !== undefined) findings.push(finding);
  findings.push(await journal(options.cwd, configured.journal), ...(await databases(configured)));
  findings.push(await claudeDirectory(options.cwd, configured));
  findings.push(await claude(options.cwd, configured), await cleared);
  return findings;
}

async function orphans(): Promise<Finding> {
  const subject = "processes of a dead host";
  if (!readsMarkers) {
    const message = `on ${process.platform}, Claude's commands may outlive a killed host; use Linux in production`;
    return { subject, verdict: "warning", message };
  }
  if ((await parentDeathPrefix()).length > 0) return { subject, verdict: "ok", message: "end with the host" };
  const message =
    "end only at the next start, since `setpriv --pdeathsig` is missing; install util-linux 2.33 or newer";
  return { subject, verdict: "warning", message };
}

async function zombies(): Promise<Finding> {
  const subject = "orphans";
  const reaped = await reapsOrphans(systemClock);
  if (reaped !== false)
    return { subject, verdict: "ok", message: reaped ? "are reaped" : "are not checked on this platform" };
  const message = `are not reaped and pile up as zombies; ${RUN_AN_INIT}`;
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
    return { finding: { subject, verdict: "failed", message: messageOf(error) }, options: {} };
  }
}

/** A missing journal is not created: the check only looks whether it could be. */
async function journal(cwd: string, configured: JournalOptions | undefined): Promise<Finding> {
  const subject = "journal";
  const file = configured === undefined ? join(cwd, ".castellan", "castellan.db") : fileOf(cwd, configured);
  if (configured === undefined && process.env["CASTELLAN_JOURNAL"]) {
    return { subject, verdict: "ok", message: "set by CASTELLAN_JOURNAL" };
  }
  if (file !== undefined && (await stat(file).catch(() => undefined)) === undefined) {
    const folder = await existingFolder(dirname(file));
    const denied = await access(folder, constants.W_OK).then(() => undefined, messageOf);
    return denied === undefined
      ? { subject, verdict: "ok", message: `${file} will be created` }
      : { subject, verdict: "failed", message: `${file} cannot be created: ${denied}` };
  }
  try {
    const supervisor = await Supervisor.start([], {
      journal: file === undefined ? (configured ?? "memory") : { sqlite: file },
      // The findings report what the logger would warn of.
      logger: { info: () => {}, warn: () => {} },
    });
    await supervisor.stop();
    const exposures = file === undefined ? [] : exposureOf(file);
    if (exposures.length > 0) return { subject, verdict: "warning", message: exposures.join("; ") };
    return { subject, verdict: "ok", message: file ?? "can be opened" };
  } catch (error) {
    const inUse = CastellanError.is(error, "JOURNAL_IN_USE");
    return { subject, verdict: inUse ? "warning" : "failed", message: messageOf(error) };
  }
}

/**
 * Checks whether the databases of journal and cluster keep confirmed writes. The finding on the journal covers a database that
 * does not answer.
 */
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
        if (problems.length === 0) return { subject, verdict: "ok", message: "keeps confirmed writes" };
        return { subject, verdict: "warning", message: problems.join("; ") };
      } catch (error) {
        return { subject, verdict: "failed", message: messageOf(error) };
      }
    }),
  );
}

/** Sessions start and answer without this directory, but the journal gets no transcript that Claude Code cannot write. */
async function claudeDirectory(cwd: string, { defaults = {} }: SupervisorOptions): Promise<Finding> {
  const subject = "Claude Code's files";
  const { config } = await transcriptLocationOf(defaults.cwd ?? cwd, { ...process.env, ...defaults.env });
  const folder = await existingFolder(config);
  const why = (await stat(folder)).isDirectory()
    ? await access(folder, constants.W_OK | constants.X_OK).then(() => undefined, messageOf)
    : `${folder} is a file`;
  if (why === undefined) return { subject, verdict: "ok", message: config };
  const message = `${config} cannot be written: ${why}; sessions forget their conversations. Set HOME or CLAUDE_CONFIG_DIR`;
  return { subject, verdict: "failed", message };
}

async function claude(cwd: string, { defaults = {} }: SupervisorOptions): Promise<Finding> {
  const subject = "Claude Code";
  const since = performance.now();
  const session: SessionOptions = { cwd, ...defaults, isolate: false, name: "castellan-doctor", restart: "temporary" };
  const supervisor = await Supervisor.start([], { journal: "memory" });
  try {
    const started = supervisor.startSession(session);
    const running = await withDeadline(systemClock, START_MS, started, () => {
      throw new Error(`it was not ready after ${formatDuration(START_MS)}`);
    });
    const { pid } = running.status();
    const took = Math.round(performance.now() - since);
    return { subject, verdict: "ok", message: `ready after ${took} ms, as process ${pid}, and stopped again` };
  } catch (error) {
    return { subject, verdict: "failed", message: messageOf(error) };
  } finally {
    await supervisor.stop({ kill: true });
  }
}

function fileOf(cwd: string, configured: JournalOptions): string | undefined {
  return typeof configured === "object" && "sqlite" in configured ? resolve(cwd, configured.sqlite) : undefined;
}

/** Returns the folder itself, or its nearest existing parent. */
async function existingFolder(folder: string): Promise<string> {
  const found = await stat(folder).catch(() => undefined);
  return found !== undefined || dirname(folder) === folder ? folder : await existingFolder(dirname(folder));
}

/** Returns an error's message; for a quarantined session, that of its last exit. */
function messageOf(error: unknown): string {
  if (CastellanError.is(error, "SESSION_QUARANTINED")) {
    const last = error.details.lastExits.at(-1);
    if (last !== undefined) return last.message;
  }
  return error instanceof Error ? error.message : String(error);
}
