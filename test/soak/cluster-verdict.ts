import { global } from "../../src/index.ts";
import { nameOfKey } from "../../src/names.ts";
import type { RealCluster } from "../cluster/real-cluster.ts";
import { answersIn, type ClusterModel, LAST_PROMPT, promptsOf } from "./cluster-model.ts";
import { entriesOf } from "./transcript-chains.ts";

interface TurnRow {
  readonly session: string;
  readonly prompt: string;
  readonly state: string;
  readonly attempts: number;
  readonly text: string | null;
  readonly conversation: string | null;
  readonly acceptedAt: number;
}

/** A cluster whose turns are judged. */
export type JudgedCluster = Pick<RealCluster, "client" | "server" | "schema" | "stop" | "processes">;

/**
 * Asks each session what was said, ends the cluster in order, and returns every violation of the invariants. Empty if
 * there is none. No other turn may run meanwhile.
 */
export async function faultsIn(cluster: JudgedCluster, model: ClusterModel): Promise<string[]> {
  model.release();
  const sessions = new Set((await turnsOf(cluster)).map(({ session }) => session));
  for (const key of sessions) {
    const [, first = "", ...rest] = nameOfKey(key);
    await cluster.client.query(global([String(first), ...rest]), LAST_PROMPT);
  }
  const turns = await turnsOf(cluster);
  const entries = await entriesOf(cluster.server, cluster.schema);
  await cluster.stop();
  return [
    ...turns.flatMap((turn) => turnFaults(turn, turns, model)),
    ...[...model.doubled].map((key) => `${key} occurs twice in what the model was sent`),
    ...[...sessions].flatMap((session) => memoryFaults(turns, session, model)),
    ...doubledIn(entries),
    ...(entries.length === 0 ? ["there are no transcripts"] : []),
    ...(cluster.processes.length === 0 ? [] : [`processes were left: ${cluster.processes.join()}`]),
  ];
}

/** Returns all accepted turns, in order. */
export async function turnsOf({ server, schema }: Pick<RealCluster, "server" | "schema">): Promise<TurnRow[]> {
  return await server.sql<TurnRow>(
    `select session, prompt, state, attempts, outcome -> 'reply' ->> 'text' as text, conversation_id as conversation,
       accepted_at as "acceptedAt"
     from ${schema}.turns left join ${schema}.sessions on sessions.key = turns.session order by seq`,
  );
}

/** Checks that no message is in a transcript twice. */
function doubledIn(entries: Awaited<ReturnType<typeof entriesOf>>): string[] {
  const known = new Set<string>();
  return entries.flatMap(({ conversation, position, entry: { uuid } }) => {
    const id = `${conversation} ${uuid}`;
    if (uuid === undefined || known.size < known.add(id).size) return [];
    return [`entry ${position} of ${conversation} is in it twice`];
  });
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
