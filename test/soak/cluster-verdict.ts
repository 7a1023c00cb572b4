import { global } from "../../src/index.ts";
import { nameOfKey } from "../../src/names.ts";
import type { RealCluster } from "../cluster/real-cluster.ts";
import { answersIn, type ClusterModel, LAST_PROMPT, promptsOf } from "./cluster-model.ts";

interface TurnRow {
  readonly session: string;
  readonly prompt: string;
  readonly state: string;
  readonly attempts: number;
  readonly text: string | null;
  readonly conversation: string | null;
  readonly acceptedAt: number;
}

interface EntryRow {
  readonly transcript: string;
  readonly conversation: string;
  readonly position: string;
  readonly epoch: string | null;
  readonly highest: string;
}

/**
 * Asks each session what was said, ends the cluster in order, and returns every violation of the invariants. Empty if
 * there is none. No other turn may run meanwhile.
 */
export async function faultsIn(cluster: RealCluster, model: ClusterModel): Promise<string[]> {
  model.release();
  const sessions = new Set((await turnsOf(cluster)).map(({ session }) => session));
  for (const key of sessions) {
    const [, first = "", ...rest] = nameOfKey(key);
    await cluster.client.query(global([String(first), ...rest]), LAST_PROMPT);
  }
  const turns = await turnsOf(cluster);
  const entries = await entriesOf(cluster);
  await cluster.stop();
  return [
    ...turns.flatMap((turn) => turnFaults(turn, turns, model)),
    ...[...model.doubled].map((key) => `${key} occurs twice in what the model was sent`),
    ...[...sessions].flatMap((session) => memoryFaults(turns, session, model)),
    ...entries.flatMap(entryFaults),
    ...(entries.length === 0 ? ["there are no transcripts"] : []),
    ...(cluster.processes.length === 0 ? [] : [`processes were left: ${cluster.processes.join()}`]),
  ];
}

/** Returns all accepted turns, in order. */
export async function turnsOf({ server, schema }: RealCluster): Promise<TurnRow[]> {
  return await server.sql<TurnRow>(
    `select session, prompt, state, attempts, outcome -> 'reply' ->> 'text' as text, conversation_id as conversation,
       accepted_at as "acceptedAt"
     from ${schema}.turns left join ${schema}.sessions on sessions.key = turns.session order by seq`,
  );
}

/** Returns each transcript entry, with the highest epoch of the entries before it. */
async function entriesOf({ server, schema }: RealCluster): Promise<EntryRow[]> {
  return await server.sql<EntryRow>(
    `select transcript, session_id as conversation, position, epoch,
       max(epoch) over (partition by transcript order by position) as highest
     from ${schema}.transcript_entries join ${schema}.transcripts on id = transcript order by transcript, position`,
  );
}

/** Checks for a single writer: entries of an epoch precede those of the next one. */
function entryFaults({ conversation, position, epoch, highest }: EntryRow): string[] {
  if (epoch === highest) return [];
  return [`entry ${position} of ${conversation} was written under epoch ${epoch}, after one under ${highest}`];
}

function turnFaults(turn: TurnRow, turns: readonly TurnRow[], model: ClusterModel): string[] {
  const { prompt, state, attempts, text } = turn;
  const key = keyOf(turn);
  if (prompt === LAST_PROMPT) return [];
  const asked = model.asked.filter((one) => one.key === key).length;
  const done = model.appended.filter((appended) => appended === key).length;
  const remembered = [...(model.remembered.get(key) ?? [])];
  const faults = [
    ...(turns.filter((other) => other.prompt === prompt).length > 1 ? ["is in the journal more than once"] : []),
    ...(["queued", "running"].includes(state) ? ["has not ended"] : []),
    ...(asked > attempts ? [`reached the model ${asked} times`] : []),
    ...(done > 1 ? [`was done ${done} times`] : []),
    ...(remembered.some((answer) => answer !== text) && state === "completed" ? ["is remembered otherwise"] : []),
    ...(remembered.length > 1 ? ["is remembered in two ways"] : []),
  ];
  return faults.map((fault) => `${fault}: ${JSON.stringify({ ...turn, remembered })}`);
}

/** Checks that the session remembers its completed turns, once and in the order of their acceptance. */
function memoryFaults(turns: readonly TurnRow[], session: string, model: ClusterModel): string[] {
  const own = turns.filter((turn) => turn.session === session && turn.prompt !== LAST_PROMPT);
  const completed = own.filter(({ state }) => state === "completed").map(keyOf);
  // A turn that was interrupted after its answer is remembered too.
  const cut = new Set(own.filter(({ state }) => state === "interrupted").map(keyOf));
  const said = model.conversations.get(own[0]?.conversation ?? "none") ?? [];
  const answers = answersIn(said).map(({ key }) => key);
  const prompts = promptsOf(said).map(({ key }) => key);
  // Two turns accepted in the same millisecond may be in either order.
  const acceptedAt = new Map(own.map((turn) => [keyOf(turn), turn.acceptedAt]));
  const times = answers.map((key) => acceptedAt.get(key) ?? 0);
  return [
    ...(answers
      .filter((key) => !cut.has(key))
      .toSorted()
      .join() === completed.toSorted().join()
      ? []
      : [`${session} answered ${completed.join()}, and knows ${answers.join()}`]),
    ...(times.every((time, at) => at === 0 || time >= (times[at - 1] ?? 0))
      ? []
      : [`${session} was asked in the order ${completed.join()}, and answered in the order ${answers.join()}`]),
    ...completed.filter((key) => !prompts.includes(key)).map((key) => `${session} forgot ${key}`),
  ];
}

function keyOf({ prompt }: TurnRow): string {
  return prompt.split(" ").at(-1) ?? "";
}
