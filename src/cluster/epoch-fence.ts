import { CastellanError } from "../errors.ts";
import { fromText, toText } from "../journal/model/stored-text.ts";
import { type Query, requirement, type Statement } from "../journal/postgres/postgres-database.ts";

/** How long a suspended node may keep its sessions' rows locked, in milliseconds. */
const IDLE_MS = 1_000;

/** The epoch under which a run owns each session; undefined if it does not. */
export type Epochs = ReadonlyMap<string, number | undefined>;

/** A run of a node that owns sessions. */
export interface OwningRun {
  readonly boot: string;
  /** Inserts the node again into a database that has lost it in a failover or a restore. */
  rejoin?(query: Query): Promise<unknown>;
}

/**
 * Ensures that the run owns each session under its epoch until the transaction ends: nobody can claim them before that,
 * and the transaction fails if somebody has. Send it after all other statements, so that its locks last as briefly as
 * possible.
 *
 * If the database knows only an earlier owner, it has lost the run's claim in a failover or a restore; the claim is
 * then recorded again.
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
  else if (node?.living !== true) throw notOwner("was declared dead, or has left");
  if (forgotten.size > 0) await restoreClaims(query, run.boot, forgotten, true);
}

/**
 * Returns what {@link fenceEpochs} ensures as a condition of a transaction that is sent at once. It fails also if the
 * database has lost the run's claims.
 *
 * @returns undefined if the run does not own a session
 */
export function epochCondition({ boot }: OwningRun, epochs: Epochs): Statement | undefined {
  const [keys, numbers]: [string[], number[]] = [[], []];
  for (const [key, epoch] of epochs) {
    if (epoch === undefined) return;
    keys.push(toText(key));
    numbers.push(epoch);
  }
  return { text: REQUIRE, values: [keys, numbers, toText(boot)] };
}

/**
 * Records again, in a database that has lost them, the epochs under which the run owned sessions whose changes follow.
 * Nobody can claim these sessions until the transaction ends.
 *
 * @param stillOwned whether the run still owns them; otherwise they have no owner
 * @throws CastellanError `NOT_OWNER` if another node has claimed one of them since the failover
 */
export async function restoreClaims(
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
    // A later claim was based on what the database knew then, and wins.
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

/** All transactions lock sessions in the order of their keys, which prevents deadlocks. */
const LOCK = `
  select key, owner, epoch::double precision from globals where key = any($1) order by key for share`;

const IDLE = `set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true)`;

const REQUIRE = `
  with wanted as (select key, epoch from unnest($1::text[], $2::double precision[]) as row (key, epoch)),
    held as (select key, owner, epoch from globals where key = any($1) order by key for share)
  select ${IDLE}, ${requirement(`
    (select count(*) from held join wanted using (key) where owner = $3 and held.epoch = wanted.epoch) = cardinality($1)
    and exists (select from nodes where boot = $3 and ended_at is null)`)}`;

const LOCK_OR_MAKE = `
  insert into globals as known (key, epoch) select key, 0 from unnest($1::text[]) as key order by key
  on conflict (key) do update set owner = known.owner
  returning key, owner, epoch::double precision`;

const OWN = `
  update globals set owner = $2, epoch = row.epoch from json_to_recordset($1) as row (key text, epoch bigint)
  where globals.key = row.key`;

const NODE = `
  select ended_at is null as living, ${IDLE}
  from nodes where boot = $1`;

function notOwned(key: string, epoch: number | undefined): string {
  return `does not own the session ${key}${epoch === undefined ? "" : " any more"}`;
}

function notOwner(what: string): CastellanError<"NOT_OWNER"> {
  const message = `This node ${what}, so the database rejected its write. The session continues on its owner.`;
  return new CastellanError("NOT_OWNER", message);
}
