import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { transcriptAt, transcriptLocationOf } from "../../src/claude/transcript-location.ts";
import { Supervisor } from "../../src/index.ts";
import { type MessagesApi, messagesApi } from "../../src/testing/index.ts";
import { unique } from "../session-on-fake/scene.ts";

const TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum";

let api: MessagesApi;

beforeEach(async () => {
  api = await messagesApi();
});

afterEach(async () => {
  await api.stop();
});

it.each([
  ["the boundary is written", 1],
  ["something behind it is written", 2],
  ["half of the summary is written", 0.5],
  ["the summary is written", 0],
])("a compacted turn cut when %s: is resumed with the whole compaction or without it", async (_, lines) => {
  const name = unique();
  await using supervisor = await Supervisor.start([{ name, allowedTools: ["Bash"] }], {
    // A journal with transcripts would restore the whole compaction.
    journal: { sqlite: join(api.cwd, "journal.sqlite"), transcripts: "local" },
    defaults: { env: api.env, cwd: api.cwd },
  });
  const session = supervisor.session(name);
  for (const prompt of ["one", "two", "three"]) await session.query(prompt);
  const file = await transcriptAt(session.status().conversationId, await transcriptLocationOf(api.cwd, api.env));
  if (file === undefined) throw new Error("no transcript");
  // The turn's request is too long, is compacted, and then uses a tool that does not end.
  let refused = false;
  const acting = Promise.withResolvers<void>();
  api.model = ({ body }) => {
    const asked = JSON.stringify(body.messages);
    if (asked.includes("Do NOT call any tools")) return { text: "A summary." };
    if (!refused) {
      refused = true;
      return { error: { status: 400, message: TOO_LONG } };
    }
    acting.resolve();
    return { toolUses: [{ name: "Bash", input: { command: "tail -f /dev/null", description: "Wait" } }] };
  };
  const turn = session.stream("big");
  const cut = expect(turn.result()).rejects.toMatchObject({ code: "TURN_INTERRUPTED" });
  for await (const _ of turn.toolUses()) break;
  await expect.poll(() => readFile(file, "utf8"), { timeout: 20_000 }).toContain("tail -f /dev/null");
  api.model = () => ({ text: "ok" });
  const { pid } = session.status();
  if (pid === undefined) throw new Error("no process");
  // Cuts the file as if the process had died earlier, before the next process starts.
  const written = (await readFile(file, "utf8")).split("\n");
  const boundary = written.findIndex((line) => line.includes('"compact_boundary"'));
  const summary = written.findIndex((line) => line.includes('"isCompactSummary":true'));
  const end = lines === 1 ? boundary + 1 : lines === 2 ? boundary + 2 : lines === 0 ? summary + 1 : summary;
  const half = lines === 0.5 ? (written[summary]?.slice(0, 80) ?? "") : "";
  process.kill(pid, "SIGKILL");
  writeFileSync(file, `${written.slice(0, end).join("\n")}\n${half}`);
  await cut;

  await session.query("last");
  const sent = JSON.stringify(api.lastRequest?.texts);
  expect(sent).toContain("big");
  expect([sent.includes('"one"'), sent.includes("A summary.")]).toEqual(lines === 0 ? [false, true] : [true, false]);
});
