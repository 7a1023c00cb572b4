import { expect, it } from "vitest";
import { type SessionOptions, Supervisor } from "../../src/index.ts";
import { memoryJournal } from "../../src/journal/memory/memory-journal.ts";
import type { Turn } from "../../src/session/streams/turn.ts";
import { mockApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

/** Returns the events of a turn after `lastEventId`, to its end or until they contain `until`. */
async function follow(turn: Turn | undefined, lastEventId: string | null, until?: string): Promise<string> {
  let page = "";
  const body = turn?.toResponse({ lastEventId }).body?.pipeThrough(new TextDecoderStream());
  for await (const piece of body ?? []) {
    page += piece;
    if (until !== undefined && textIn(page).includes(until)) break;
  }
  return page;
}

const textIn = (page: string): string =>
  [...page.matchAll(/^event: text\ndata: (.+)$/gm)].map(([, data = ""]) => JSON.parse(data).text).join("");
const namesIn = (page: string): string[] => [...page.matchAll(/^event: (\w+)$/gm)].map(([, name = ""]) => name);
const lastIdIn = (page: string): string => [...page.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? "";

it("a page that reconnects after restarts: gets a retry with the whole answer, and later the journal's pieces", async () => {
  await using api = await mockApi();
  const options = { journal: memoryJournal(), logger: { info: () => {}, warn: () => {} } };
  const name = unique();
  const children: SessionOptions[] = [
    { name, env: api.env, cwd: api.cwd, allowedTools: ["Bash"], onInterruptedTurn: "retry" },
  ];
  api.reply("go", { text: "one two three four five six seven eight nine ten eleven twelve", tokensPerSecond: 10 });
  const first = await Supervisor.start(children, options);
  const id = await first.session(name).enqueue("go");
  const begun = await follow(await first.session(name).turn(id), null, "two");
  await first.stop();
  api.clear();
  api.reply("go", { text: "Let me look.", toolUses: [{ name: "Bash", input: { command: "echo hi" } }] });
  const second = await Supervisor.start(children, options);
  const turn = await second.session(name).turn(id);
  const page = await follow(turn, lastIdIn(begun));
  const whole = textIn(page);
  expect(namesIn(page).filter((event) => event !== "text")).toEqual(["retry", "tool_use", "result"]);
  expect(namesIn(page)[0]).toBe("retry");
  expect(whole).toMatch(/^Let me look\./);
  expect(whole).toContain((await turn?.result())?.text);
  await second.session(name).clear();
  await second.stop();
  await using third = await Supervisor.start(children, options);
  const recalled = await third.session(name).turn(id);
  expect(recalled?.recalled).toBe(true);
  const again = await follow(recalled, lastIdIn(page));
  expect(namesIn(again)[0]).toBe("retry");
  expect(textIn(again)).toBe(whole);
  expect(await Array.fromAsync(recalled?.toolUses() ?? [])).toMatchObject([
    { name: "Bash", input: { command: "echo hi" } },
  ]);
}, 60_000);
