import { CastellanClient } from "../src/client/index.ts";
import { Answers, type AnswerTimes } from "./answers.ts";
import { timed } from "./rounds.ts";

/* The other side of ClientProcess: a client in a process of its own, which asks a server on behalf of its parent. */

/** What the parent asks for. The answer is a `AnswerTimes`. */
export type FarRequest =
  /** Each session gets these prompts, one after the other; all sessions at once. */
  | { readonly do: "ask"; readonly prompts: readonly string[] }
  /** The last session gets these prompts, and its open stream of events is read until the turn of each has ended. */
  | { readonly do: "read"; readonly prompts: readonly string[] };

const [url = "", names = "[]"] = process.argv.slice(2);
const client = new CastellanClient({ url });
const sessions = (JSON.parse(names) as string[]).map((name) => client.session(name));
let stream: Promise<Answers> | undefined;

async function ask(prompts: readonly string[]): Promise<AnswerTimes> {
  const ms = await timed(() =>
    Promise.all(
      sessions.map(async (session) => {
        for (const prompt of prompts) await session.query(prompt);
      }),
    ),
  );
  return { ms, deltas: 0, firstMs: [] };
}

async function read(prompts: readonly string[]): Promise<AnswerTimes> {
  const session = sessions.at(-1);
  if (session === undefined) throw new Error("no session");
  const events = session.events({ types: ["text_delta", "turn_ended"], after: 0 });
  stream ??= Answers.open(events, (prompt) => session.enqueue(prompt));
  return await (await stream).readAll(prompts);
}

process.on("message", async (request: FarRequest) => {
  process.send?.(await (request.do === "ask" ? ask : read)(request.prompts));
});
process.on("disconnect", () => process.exit());
process.send?.("ready");
