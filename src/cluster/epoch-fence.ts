import { CastellanError } from "../errors.ts";
import { fromText, toText } from "../journal/model/stored-text.ts";
import type { Query } from "../journal/postgres/postgres-database.ts";

/** For how long a node that stands still may keep the sessions locked that it writes for, once it has locked them. */
const IDLE_MS = 1_000;

/** Under which epoch a run of a node owns each session; `undefined` if it does not. */
export type Epochs = ReadonlyMap<string, number | undefined>;

/** A run of a node that owns sessions. */
export interface OwningRun {
  readonly boot: string;
  /** Makes it known again to a database that has another history than it had, and has never heard of it. */
  rejoin?(query: Query): Promise<unknown>;
}

/**
 * Makes sure that the run of a node owns each of the sessions under its epoch until the transaction ends: nobody can claim one
 * of them before that, and nothing is written for one that somebody has claimed. To be sent behind all that is written, so that
 * nobody waits while that is on its way.
 *
 * A database that only knows of an earlier owner has another history than it had when it granted the claim: it is granted again.
 *
 * @throws CastellanError `NOT_OWNER`
 */
export async function fenceEpochs(query: Query, run: OwningRun, epochs: Epochs): Promise<void> {
  const id = toText(run.boot);
  const keys = [...epochs.keys()].map(toText);
  const [rows, [node]] = await Promise.all([query<OwnedRow>(LOCK, [keys]), query<NodeNameRow>(NODE, [id])]);
  const owned = new Map(rows.map(({ key, ...row }) => [fromText(key), row]));
  const forgotten = new Map<string, number>();
  for (const [key, epoch] of epochs) {
    const row = owned.get(key);
    if (epoch !== undefined && row?.owner === id && row.epoch === epoch) continue;
    if (epoch === undefined || (row !== undefined && row.epoch >= epoch)) throw notOwner(notOwned(key, epoch));
    forgotten.set(key, epoch);
  }
  if (node === undefined && run.rejoin !== undefined) await run.rejoin(query);
  else if (node?.living !== true) throw notOwner("has been given up for dead, or has left");
  if (forgotten.size > 0) await ownAgain(query, run.boot, forgotten, true);
}

/**
 * Makes a database that has another history than it had know again under which epochs the run has owned sessions, whose changes it is
 * about to be told once more. Nobody can claim one of them until the transaction ends.
 *
 * @param stillOwned whether the run owns them still; otherwise nobody does
 * @throws CastellanError `NOT_OWNER` if somebody has claimed one of them since the history changed
 */
export async function ownAgain(
  query: Query,
  boot: string,
  epochs: ReadonlyMap<string, number>,
  stillOwned: boolean,
): Promise<void> {
  if (epochs.size === 0) return;
  const id = toText(boot);
  const rows = await query<OwnedRow>(LOCK_OR_MAKE, [[...epochs.keys()].map(toText)]);
  for (const { key, owner, epoch: known } of rows) {
    const epoch = epochs.get(fromText(key)) ?? 0;
    // Whoever has claimed it later has done so by what the database knew then.
    const claimed = known > epoch || (known === epoch && owner !== null && owner !== id);
    if (claimed) throw notOwner(notOwned(fromText(key), epoch));
  }
  const values = rows.map(({ key }) => ({ key, epoch: epochs.get(fromText(key)) }));
  await query(OWN, [JSON.stringify(values), stillOwned ? id : null]);
}

interface OwnedRow {
  readonly key: string;
  readonly owner: string | null;
  readonly epoch: number;
}

interface NodeNameRow {
  readonly living: boolean;
}

/** All who lock several sessions do so in the order of their keys. */
const LOCK = `
  select key, owner, epoch::double precision from globals where key = any($1) order by key for share`;

const LOCK_OR_MAKE = `
  insert into globals as known (key, epoch) select key, 0 from unnest($1::text[]) as key order by key
  on conflict (key) do update set owner = known.owner
  returning key, owner, epoch::double precision`;

const OWN = `
  update globals set owner = $2, epoch = row.epoch from json_to_recordset($1) as row (key text, epoch bigint)
  where globals.key = row.key`;

const NODE = `
  select ended_at is null as living, set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true)
  from nodes where boot = $1`;

function notOwned(key: string, epoch: number | undefined): string {
  return `does not own the session ${key}${epoch === undefined ? "" : " any more"}`;
}

function notOwner(what: string): CastellanError<"NOT_OWNER"> {
  const message = `This node ${what}, so that what it was about to write was refused. Whoever owns the session now goes on with it.`;
  return new CastellanError("NOT_OWNER", message);
}
