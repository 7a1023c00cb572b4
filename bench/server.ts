import { Answers } from "./answers.ts";
import { fakeProcess } from "./backend.ts";
import { enqueue, sqlite } from "./castellan.ts";
import { type Line, type Row, rowOf } from "./line.ts";
import { compete, ratioTo, timed } from "./rounds.ts";
import { type Served, served } from "./served.ts";
import { quantileOf, spreadOf } from "./spread.ts";

/* The column of the bare SDK has the figures in process, that of Castellan those over HTTP. */

/** The kind of processes. Both sides run in this process, as does the server. */
const ON = "fake process; in process, over HTTP";

/** The time of a turn of the real Claude Code with a model that answers at once, in milliseconds. */
const PAUSE = 17;

/** The turns of a session in a round. */
const TURNS = 30;

/** The messages of a streamed turn, and the turns of a round. */
const PIECES = 2_000;
const STREAMED = 10;

/** The turns per side and round from which the quantiles of the first byte are taken. */
const SAMPLES = 100;

const QUANTILES = [0.5, 0.99];

/** Measures the cost of the server: turns, streamed messages and the first byte, over HTTP against in process. */
export const server: Line = {
  name: "server",
  rounds: 7,
  measure: async ({ rounds, directory }) => {
    const rows: Row[] = [];
    for (const sessions of [1, 20]) {
      await using both = await served(fakeProcess(), sqlite(directory), sessions);
      rows.push(...(await turns(both, rounds)));
    }
    await using both = await served(fakeProcess(), sqlite(directory), 2);
    const streamed = await onStreams(both, async (near, far) => [
      ...(await messages(near, far, rounds)),
      ...(await firstByte(near, far, rounds)),
    ]);
    return [...rows, ...streamed];
  },
};

/** Compares to `query`, and to `enqueue`, whose prompt is on disk before it runs, as that of a request is. */
async function turns({ supervisor, client, names }: Served, rounds: number): Promise<Row[]> {
  const askAll = (ask: (name: string, prompt: string) => Promise<unknown>) => async (): Promise<number> => {
    const ms = await timed(() =>
      Promise.all(
        names.map(async (name) => {
          for (let turn = 0; turn < TURNS; turn++) await ask(name, `Do number ${turn}, please in ${PAUSE} ms.`);
        }),
      ),
    );
    return (names.length * TURNS * 1_000) / ms;
  };
  const scores = await compete(
    [
      { name: "query", round: askAll((name, prompt) => supervisor.query(name, prompt)) },
      { name: "enqueue", round: askAll((name, prompt) => enqueue(supervisor.session(name), prompt)) },
      { name: "over HTTP", round: askAll((name, prompt) => client.session(name).query(prompt)) },
    ],
    rounds,
  );
  const [query, enqueued, http] = scores;
  if (query === undefined || enqueued === undefined || http === undefined) throw new Error("needs three rivals");
  const what = `${names.length} ${names.length === 1 ? "session" : "sessions"}, each of ${PAUSE} ms`;
  const budget = { atLeast: 0.8 };
  const sameSafety = { ...http, ratio: ratioTo(enqueued.figures, http.figures) };
  return [
    rowOf(`turns, ${what}, to query`, ON, "/s", [query, http], budget),
    rowOf(`turns, ${what}, to enqueue`, ON, "/s", [enqueued, sameSafety], budget),
  ];
}

/** Opens a stream of one session in this process and one of another session over HTTP, has them measured, and closes them. */
async function onStreams(
  { supervisor, client, names: [nearName = "", farName = ""] }: Served,
  measure: (near: Answers, far: Answers) => Promise<Row[]>,
): Promise<Row[]> {
  const session = supervisor.session(nearName);
  const remote = client.session(farName);
  const leaving = new AbortController();
  const near = session.events({ types: ["text_delta", "turn_ended"], after: 0 });
  const far = remote.events({ types: ["text_delta", "turn_ended"], after: 0 }, leaving);
  const rows = await measure(
    await Answers.open(near, (prompt) => session.enqueue(prompt)),
    await Answers.open(far, (prompt) => remote.enqueue(prompt)),
  );
  leaving.abort();
  await near.return();
  return rows;
}

/** Measures how many messages arrive. A session's events skip deltas for a reader that is too slow, so some do not. */
async function messages(near: Answers, far: Answers, rounds: number): Promise<Row[]> {
  const shares: number[][] = [[], []];
  const read = (side: Answers, index: number) => async (): Promise<number> => {
    let deltas = 0;
    const ms = await timed(async () => {
      for (let turn = 0; turn < STREAMED; turn++) {
        deltas += (await side.read(`Stream ${PIECES} pieces of a message.`)).deltas;
      }
    });
    shares[index]?.push((deltas * 100) / (PIECES * STREAMED));
    return (deltas * 1_000) / ms;
  };
  const rivals = [
    { name: "in process", round: read(near, 0) },
    { name: "over HTTP", round: read(far, 1) },
  ];
  const scores = await compete(rivals, rounds);
  const [bare = [], castellan = []] = shares;
  return [
    rowOf("messages through SSE", ON, "/s", scores),
    { what: "messages that arrive", on: ON, unit: "%", bare: spreadOf(bare), castellan: spreadOf(castellan) },
  ];
}

/** Measures the time from the call that sends a prompt to the first piece of its answer. The sides alternate turn by turn. */
async function firstByte(near: Answers, far: Answers, rounds: number): Promise<Row[]> {
  const figures = QUANTILES.map(() => [near, far].map((): number[] => []));
  for (let round = 0; round < rounds; round++) {
    const samples = [near, far].map((): number[] => []);
    for (let sample = 0; sample < SAMPLES; sample++) {
      for (const [index, side] of [near, far].entries()) {
        samples[index]?.push((await side.read("Stream 1 pieces of a message.")).firstMs);
      }
    }
    for (const [at, part] of QUANTILES.entries()) {
      for (const [index, times] of samples.entries()) figures[at]?.[index]?.push(quantileOf(times, part));
    }
  }
  return QUANTILES.flatMap((part, at): Row[] => {
    const [bare = [], castellan = []] = figures[at] ?? [];
    const what = `first byte, p${part * 100}`;
    const ratio = ratioTo(bare, castellan);
    const overhead = castellan.map((figure, round) => figure - (bare[round] ?? Number.NaN));
    return [
      { what, on: ON, unit: "ms", bare: spreadOf(bare), castellan: spreadOf(castellan), ratio },
      { what: `${what}, overhead`, on: ON, unit: "ms", castellan: spreadOf(overhead) },
    ];
  });
}
