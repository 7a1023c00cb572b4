import { nameKey } from "../names.ts";
import { readTerms } from "../session/options/job-options.ts";
import { invalidOptions } from "../session/options/validation.ts";
import {
  summaryOfJob,
  summaryOfPool,
  type TurnListOptions,
  type TurnSummary,
  turnListQuery,
} from "../session/turns/turn-summary.ts";
import type { PoolServer } from "./pool-server.ts";

/** Returns a page of the turns of a pool, the newest first, with the jobs that no member has taken. @throws CastellanError as `Pool.turns` */
export async function turnsOf(pool: PoolServer, options: TurnListOptions): Promise<TurnSummary[]> {
  const { states, before, limit } = turnListQuery(options);
  const { jobs, host, who } = pool;
  const isAfterJobs = before !== undefined && !jobs.has(before);
  const wantsJobs = !isAfterJobs && (states?.includes("queued") ?? true);
  const waiting = wantsJobs ? await jobs.page(before, limit) : [];
  const page = waiting.map((job) => summaryOfJob(job, readTerms(job)));
  if (page.length === limit) return page;
  await host.journal.writer?.caughtUp();
  const { journal } = host.journal;
  const key = nameKey(pool.settings.name);
  const entries = await journal.turns({
    session: keysOf(pool),
    ...(states !== undefined && { states }),
    ...(isAfterJobs && { before }),
    limit: limit - page.length,
  });
  // A member may have taken a job during the reads.
  const listed = new Set(page.map(({ id }) => id));
  page.push(...entries.filter(({ id }) => !listed.has(id)).map((entry) => summaryOfPool(entry, key)));
  // An unknown turn has no page before it, which must not look like the end of the list.
  if (page.length === 0 && isAfterJobs && (await journal.turn(before)) === undefined) {
    const message = "is not the id of a turn that the journal keeps of this pool; begin again with the newest turns";
    throw invalidOptions(`turns of ${who}`, [{ field: "before", message }]);
  }
  return page;
}

/** Returns the keys of all sessions whose turns are the pool's: of its members, and its own for cancelled jobs. */
function keysOf({ settings, servers }: PoolServer): string[] {
  const { name, max } = settings;
  const possible = Array.from({ length: max }, (_, index) => nameKey([name, index]));
  return [...new Set([nameKey(name), ...possible, ...servers.map(({ settings: { key } }) => key)])];
}
