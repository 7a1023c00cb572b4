import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { CastellanError } from "../errors.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SessionTable } from "./tree/session-table.ts";
import type { CredentialsReport, NotStarted } from "./tree/supervisor-reports.ts";
import type { Tree } from "./tree/tree.ts";

/** The result for one session; `ended` if it was terminated in the meantime. */
type Outcome = "replaced" | "unchanged" | "ended" | CastellanError;

/** Replaces processes whose credentials are outdated. */
export class CredentialsRefresh {
  readonly #tree: Tree;
  readonly #sessions: SessionTable;
  readonly #clock: Clock;

  constructor(tree: Tree, sessions: SessionTable, clock: Clock) {
    this.#tree = tree;
    this.#sessions = sessions;
    this.#clock = clock;
  }

  /**
   * Resolves once all sessions are done, after `deadlineMs`, or when `ended` resolves. Replacements that are still pending then
   * continue.
   */
  async run(deadlineMs: number, ended: Promise<unknown>): Promise<CredentialsReport> {
    const outcomes = new Map<SessionServer, Outcome | undefined>();
    const work = [...this.#sessions].map(async ({ server }) => {
      outcomes.set(server, undefined);
      outcomes.set(server, await this.#refresh(server));
    });
    await withDeadline(this.#clock, deadlineMs, Promise.race([Promise.all(work), ended]));
    const named = [...outcomes].map(([{ settings }, outcome]) => ({ name: settings.name, outcome }));
    const of = (wanted: Outcome | undefined) =>
      named.flatMap(({ name, outcome }) => (outcome === wanted ? [name] : []));
    const failed = named.flatMap(({ name, outcome }): NotStarted[] =>
      CastellanError.is(outcome) ? [{ name, error: outcome }] : [],
    );
    return { replaced: of("replaced"), waiting: of(undefined), failed, unchanged: of("unchanged").length };
  }

  async #refresh(server: SessionServer): Promise<Outcome> {
    try {
      if (server.credentials.mayEndQuarantine) await this.#tree.root.recycle(server.settings.key);
      else if (!(await server.credentials.renewed())) return "unchanged";
      const failure = await this.#tree.failure(server);
      return server.state.name === "stopped" ? "ended" : (failure ?? "replaced");
    } catch (error) {
      if (server.state.name === "stopped") return "ended";
      if (CastellanError.is(error)) return error;
      throw error;
    }
  }
}

/** Merges two reports. */
export function mergeReports(one: CredentialsReport, other: CredentialsReport | undefined): CredentialsReport {
  if (other === undefined) return one;
  return {
    replaced: [...one.replaced, ...other.replaced],
    waiting: [...one.waiting, ...other.waiting],
    failed: [...one.failed, ...other.failed],
    unchanged: one.unchanged + other.unchanged,
  };
}
