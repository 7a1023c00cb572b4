import { Answers, type AnswerTimes } from "./answers.ts";
import { fakeProcess } from "./backend.ts";
import { enqueue, sqlite } from "./castellan.ts";
import { type Line, type Row, rowOf } from "./line.ts";
import { compete, ratioTo, timed } from "./rounds.ts";
import { type Served, served } from "./served.ts";
import { quantileOf, spreadOf } from "./spread.ts";

/* The column of the bare SDK has the figures in process, that of Castellan those over HTTP. */

/** The kind of processes. The client over HTTP has a process of its own. */
const ON = "fake process; in process, over HTTP";

/** The times of a turn in milliseconds: that of the real Claude Code with a model that answers at once, and none. */
const PAUSES = [17, undefined] as const;

const SESSIONS = [1, 20] as const;

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
    for (const sessions of SESSIONS) {
      await using both = await served(fakeProcess(), sqlite(directory), sessions);
      for (const pause of PAUSES) rows.push(...(await turns(both, rounds, pause)));
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
async function turns(
  { supervisor, client, names }: Served,
  rounds: number,
  pause: (typeof PAUSES)[number],
): Promise<Row[]> {
  const how = pause === undefined ? "" : ` in ${pause} ms`;
  const prompts = Array.from({ length: TURNS }, (_, turn) => `Do number ${turn}, please${how}.`);
  const askAll = (ask: (name: string, prompt: string) => Promise<unknown>) => async (): Promise<number> =>
    await timed(() =>
      Promise.all(
        names.map(async (name) => {
          for (const prompt of prompts) await ask(name, prompt);
        }),
      ),
    );
  const cpu: number[][] = [[], [], []];
  const perSecond = (index: number, run: () => Promise<number>) => async (): Promise<number> => {
    const before = process.cpuUsage();
    const ms = await run();
    const { user, system } = process.cpuUsage(before);
    cpu[index]?.push((user + system) / 1_000 / (names.length * TURNS));
    return (names.length * TURNS * 1_000) / ms;
  };
  const overHttp = async (): Promise<number> => (await client.do({ do: "ask", prompts })).ms;
  const scores = await compete(
    [
      {
        name: "query",
        round: perSecond(
          0,
          askAll((name, prompt) => supervisor.query(name, prompt)),
        ),
      },
      {
        name: "enqueue",
        round: perSecond(
          1,
          askAll((name, prompt) => enqueue(supervisor.session(name), prompt)),
        ),
      },
      { name: "over HTTP", round: perSecond(2, overHttp) },
    ],
    rounds,
  );
  const [query, enqueued, http] = scores;
  if (query === undefined || enqueued === undefined || http === undefined) throw new Error("needs three rivals");
  const pace = pause === undefined ? "at once" : `each of ${pause} ms`;
  const what = `${names.length} ${names.length === 1 ? "session" : "sessions"}, ${pace}`;
  const budget = pause === undefined ? undefined : { atLeast: 0.8 };
  const sameSafety = { ...http, ratio: ratioTo(enqueued.figures, http.figures) };
  // The first figure of each is that of the warm-up.
  const [, near = [], far = []] = cpu.map((figures) => figures.slice(1));
  return [
    rowOf(`turns, ${what}, to query`, ON, "/s", [query, http], budget),
    rowOf(`turns, ${what}, to enqueue`, ON, "/s", [enqueued, sameSafety], budget),
    { what: `CPU time of a turn, ${what}`, on: ON, unit: "ms", bare: spreadOf(near), castellan: spreadOf(far) },
  ];
}

/** Reads the answers to prompts from a stream that is open. */
type Read = (prompts: readonly string[]) => Promise<AnswerTimes>;

/** Opens a stream of one session in this process and one of another session over HTTP, has them measured, and closes them. */
async function onStreams(
  { supervisor, client, names: [nearName = ""] }: Served,
  measure: (near: Read, far: Read) => Promise<Row[]>,
): Promise<Row[]> {
  const session = supervisor.session(nearName);
  const events = session.events({ types: ["text_delta", "turn_ended"], after: 0 });
  const answers = await Answers.open(events, (prompt) => session.enqueue(prompt));
  const near: Read = (prompts) => answers.readAll(prompts);
  const far: Read = (prompts) => client.do({ do: "read", prompts });
  const rows = await measure(near, far);
  await events.return();
  return rows;
}

/** Measures how many messages arrive. A session's events skip deltas for a reader that is too slow, so some do not. */
async function messages(near: Read, far: Read, rounds: number): Promise<Row[]> {
  const shares: number[][] = [[], []];
  const prompts = Array.from({ length: STREAMED }, () => `Stream ${PIECES} pieces of a message.`);
  const read = (side: Read, index: number) => async (): Promise<number> => {
    const { deltas, ms } = await side(prompts);
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
async function firstByte(near: Read, far: Read, rounds: number): Promise<Row[]> {
  const figures = QUANTILES.map(() => [near, far].map((): number[] => []));
  for (let round = 0; round < rounds; round++) {
    const samples = [near, far].map((): number[] => []);
    for (let sample = 0; sample < SAMPLES; sample++) {
      for (const [index, side] of [near, far].entries()) {
        samples[index]?.push(...(await side(["Stream 1 pieces of a message."])).firstMs);
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
