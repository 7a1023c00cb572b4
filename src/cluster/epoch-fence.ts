import { CastellanError } from "../errors.ts";
import type { Query } from "../journal/postgres-database.ts";
import { fromText, toText } from "../journal/stored-text.ts";

/** For how long a node that stands still may keep the sessions locked that it writes for, once it has locked them. */
const IDLE_MS = 1_000;

/** Under which epoch a run of a node owns each session; `undefined` if it does not. */
export type Epochs = ReadonlyMap<string, number | undefined>;

/**
 * Makes sure that the run of a node owns each of the sessions under its epoch until the transaction ends: nobody can claim one
 * of them before that, and nothing is written for one that somebody has claimed. To be sent behind all that is written, so that
 * nobody waits while that is on its way.
 *
 * @throws CastellanError `NOT_OWNER`
 */
export async function fenceEpochs(query: Query, boot: string, epochs: Epochs): Promise<void> {
  const id = toText(boot);
  const keys = [...epochs.keys()].map(toText);
  const [rows, [node]] = await Promise.all([query<OwnedRow>(LOCK, [keys]), query<NodeNameRow>(NODE, [id])]);
  const owned = new Map(rows.map(({ key, ...row }) => [fromText(key), row]));
  for (const [key, epoch] of epochs) {
    const row = owned.get(key);
    if (epoch !== undefined && row?.owner === id && row.epoch === epoch) continue;
    throw notOwner(`does not own the session ${key}${epoch === undefined ? "" : " any more"}`);
  }
  if (node?.living !== true) throw notOwner("has been given up for dead, or has left");
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

const NODE = `
  select ended_at is null as living, set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true)
  from nodes where boot = $1`;

function notOwner(what: string): CastellanError<"NOT_OWNER"> {
  const message = `This node ${what}, so that what it was about to write was refused. Whoever owns the session now goes on with it.`;
  return new CastellanError("NOT_OWNER", message);
}
