import { CastellanError } from "../errors.ts";
import type { EndedTurnState, TurnEntry } from "../journal/model/turn-entry.ts";
import { keyPrefix, nameKey } from "../names.ts";
import { smallPartOf } from "../session/persistence/stored-prompt.ts";
import { shownIn } from "../session/streams/kept-shown.ts";
import { Turn } from "../session/streams/turn.ts";
import { endOf } from "../session/streams/turn-end.ts";
import { TurnRecord } from "../session/streams/turn-record.ts";
import { readsOf } from "./pool-record.ts";
import type { PoolServer } from "./pool-server.ts";
import { callsOf } from "./turn-calls.ts";

/** Returns a turn of a pool: of a waiting job, of a member, or from the journal. @throws CastellanError as `Pool.turn` */
export async function findTurn(pool: PoolServer, id: string): Promise<Turn | undefined> {
  const { settings, servers, jobs, host } = pool;
  const { name } = settings;
  const waiting = await jobs.turn(id);
  if (waiting !== undefined) {
    return new Turn(waiting, name, {
      interrupt: () => waiting.interrupt(),
      steer: (text, options) => waiting.steer(text, options),
      events: (options) => waiting.events(options),
      asks: pool.common.approvals !== false,
      content: (reference) => waiting.content(reference),
    });
  }
  await host.journal.writer?.caughtUp();
  const entry = await host.journal.journal.turn(id);
  if (entry === undefined) return undefined;
  const isOwn = entry.session === nameKey(name) || entry.session.startsWith(keyPrefix(name));
  if (!isOwn) return undefined;
  const server = servers.find(({ settings: { key } }) => key === entry.session);
  const record = await server?.turn(id);
  if (server === undefined || record === undefined) return recalled(pool, entry);
  return new Turn(record, name, callsOf(server, record));
}

/** Returns an ended turn of a former member, or a job that was cancelled before a member took it. */
function recalled(pool: PoolServer, entry: TurnEntry): Turn | undefined {
  const { settings, host, who, common } = pool;
  const { id, state, session } = entry;
  if (state === "queued" || state === "running") return undefined;
  return new Turn(recalledTurn(pool, entry, state), settings.name, {
    interrupt: async () => {},
    steer: async () => {
      const message = `${who}, turn ${id}: it has ended, so it takes no message.`;
      throw new CastellanError("STEER_REFUSED", message, { details: { turnId: id, reason: "ended" } });
    },
    asks: common.approvals !== false,
    ...readsOf(session, host),
  });
}

/** Returns the record of an ended turn of the journal. */
export function recalledTurn({ who, common }: PoolServer, entry: TurnEntry, state: EndedTurnState): TurnRecord {
  const { id, attempts, outcome, origin = "caller", by, metadata, promptId } = entry;
  const { text, kind: promptKind } = smallPartOf(entry);
  const record = new TurnRecord(id, text, who, { promptKind, origin, attempts, by, metadata, promptId });
  const end = endOf(outcome, who, common.output);
  record.recall(state, end, shownIn(outcome, end));
  return record;
}
