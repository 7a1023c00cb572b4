import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { CastellanError } from "../errors.ts";
import type { SessionServer } from "../session/session-server.ts";
import type { SessionTable } from "./tree/session-table.ts";
import type { CredentialsReport, NotStarted } from "./tree/supervisor-reports.ts";
import type { Tree } from "./tree/tree.ts";

/** What came of one session; `ended` if somebody has ended it meanwhile. */
type Outcome = "replaced" | "unchanged" | "ended" | CastellanError;

/** Gives sessions processes with the credentials that they would be given now. */
export class CredentialsRefresh {
  readonly #tree: Tree;
  readonly #sessions: SessionTable;
  readonly #clock: Clock;

  constructor(tree: Tree, sessions: SessionTable, clock: Clock) {
    this.#tree = tree;
    this.#sessions = sessions;
    this.#clock = clock;
  }

  /** Resolves when all have them, after `deadlineMs`, or when `over` does. What is left then is done all the same. */
  async run(deadlineMs: number, over: Promise<unknown>): Promise<CredentialsReport> {
    const outcomes = new Map<SessionServer, Outcome | undefined>();
    const work = [...this.#sessions].map(async ({ server }) => {
      outcomes.set(server, undefined);
      outcomes.set(server, await this.#refreshed(server));
    });
    await withDeadline(this.#clock, deadlineMs, Promise.race([Promise.all(work), over]));
    const named = [...outcomes].map(([{ settings }, outcome]) => ({ name: settings.name, outcome }));
    const of = (wanted: Outcome | undefined) =>
      named.flatMap(({ name, outcome }) => (outcome === wanted ? [name] : []));
    const failed = named.flatMap(({ name, outcome }): NotStarted[] =>
      CastellanError.is(outcome) ? [{ name, error: outcome }] : [],
    );
    return { replaced: of("replaced"), waiting: of(undefined), failed, unchanged: of("unchanged").length };
  }

  async #refreshed(server: SessionServer): Promise<Outcome> {
    try {
      if (server.mayComeBack) await this.#tree.root.recycle(server.settings.key);
      else if (!(await server.rekeyed())) return "unchanged";
      const failure = await this.#tree.failure(server);
      return server.state.name === "stopped" ? "ended" : (failure ?? "replaced");
    } catch (error) {
      if (server.state.name === "stopped") return "ended";
      if (CastellanError.is(error)) return error;
      throw error;
    }
  }
}

/** What two reports say together. */
export function joined(one: CredentialsReport, other: CredentialsReport | undefined): CredentialsReport {
  if (other === undefined) return one;
  return {
    replaced: [...one.replaced, ...other.replaced],
    waiting: [...one.waiting, ...other.waiting],
    failed: [...one.failed, ...other.failed],
    unchanged: one.unchanged + other.unchanged,
  };
}
