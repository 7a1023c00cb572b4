import { readdirSync, rmSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { type Session, Supervisor } from "../src/index.ts";
import { messagesApi } from "../src/testing/index.ts";
import type { MessagesRequest } from "../src/testing/mock-api/messages-request.ts";
import { compete, timed } from "./rounds.ts";
import { type Spread, spreadOf } from "./spread.ts";

/*
 * Compares sessions of the real Claude Code whose transcripts the journal keeps to sessions with `transcripts: "local"`: warm turns, wakes,
 * and the bytes of a turn in the transcript, in the journal's copy and in the whole file.
 */

const USAGE = `npm run bench:transcripts -- [options]
  --rounds <n>  the rounds of each measurement (15)
  --json        print JSON
  --help        this text`;

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    json: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

/** The consecutive turns per round. */
const TURNS = 5;

/** A result of a tool that Claude Code puts into the conversation as a whole. */
const RESULT = "seq 1 4000";

interface Side {
  readonly session: Session;
  readonly supervisor: Supervisor;
  readonly journal: string;
}

interface Bytes {
  readonly transcript: number;
  readonly lines: number;
  readonly file: number;
}

function answer({ texts, body }: MessagesRequest) {
  const last = texts.at(-1)?.text ?? "";
  const isResult = JSON.stringify(body.messages.at(-1)).includes('"tool_result"');
  if (last.includes("Use a tool") && !isResult)
    return { toolUses: [{ name: "Bash", input: { command: RESULT, description: "Count" } }] };
  return { text: "An answer of a few dozen words, as people get them all day. ".repeat(5) };
}

async function run(rounds: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "castellan-transcripts-"));
  await using api = await messagesApi(answer);
  const config = api.env["CLAUDE_CONFIG_DIR"] ?? "";
  const open = async (name: "journal" | "local"): Promise<Side> => {
    const journal = join(directory, `${name}.db`);
    const supervisor = await Supervisor.start([{ name, allowedTools: ["Bash"] }], {
      name,
      journal: { sqlite: journal, transcripts: name },
      defaults: { env: api.env, cwd: api.cwd },
    });
    return { session: supervisor.session(name), supervisor, journal };
  };
  const [journal, local] = [await open("journal"), await open("local")];
  const sides = { local, journal };
  const scores = async (measure: (side: Side) => Promise<number>): Promise<Record<string, Spread>> => {
    const rivals = Object.entries(sides).map(([name, side]) => ({ name, round: () => measure(side) }));
    const times = await compete(rivals, rounds);
    const ratio = times[1]?.ratio ?? spreadOf([]);
    return { ...Object.fromEntries(times.map(({ name, figure }) => [name, figure])), ratio };
  };
  for (const { session } of Object.values(sides)) await session.query("Hello");
  const warm = await scores(async ({ session }) => {
    const ms = await timed(async () => {
      for (let turn = 0; turn < TURNS; turn += 1) await session.query(`Say something about number ${turn}.`);
    });
    return ms / TURNS;
  });
  const wake = await scores(async ({ session }) => {
    await session.hibernate();
    return await timed(() => session.query("And now?"));
  });
  const restored: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    await journal.session.hibernate();
    rmSync(fileOf(journal.session, config));
    restored.push(await timed(() => journal.session.query("And now?")));
  }
  const bytes: Record<string, Record<string, Bytes>> = {};
  for (const [kind, prompt] of [
    ["text", "Say something."],
    ["tool", "Use a tool."],
  ] as const) {
    bytes[kind] = {};
    for (const [name, side] of Object.entries(sides)) {
      const before = await bytesOf(side, config);
      for (let turn = 0; turn < 20; turn += 1) await side.session.query(prompt);
      const after = await bytesOf(side, config);
      bytes[kind][name] = {
        transcript: (after.transcript - before.transcript) / 20,
        lines: (after.lines - before.lines) / 20,
        file: (after.file - before.file) / 20,
      };
    }
  }
  for (const { supervisor } of Object.values(sides)) await supervisor.stop();
  await rm(directory, { recursive: true });
  const figures = { rounds, warm, wake, restored: spreadOf(restored), bytes };
  console.log(options.json ? JSON.stringify(figures, null, 2) : textOf(figures));
}

/** Returns the file of a session's transcript. */
function fileOf(session: Session, config: string): string {
  const id = session.status().conversationId;
  const files = readdirSync(join(config, "projects"), { recursive: true, encoding: "utf8" });
  return join(config, "projects", files.find((file) => file.endsWith(`${id}.jsonl`)) ?? "");
}

/** Returns the sizes once everything is written. */
async function bytesOf({ session, journal }: Side, config: string): Promise<Bytes> {
  await session.hibernate();
  using database = new DatabaseSync(journal);
  const [lines] = database.prepare("SELECT sum(octet_length(lines)) AS sum FROM transcript_parts").all();
  const [pages] = database
    .prepare(
      "SELECT (page_count - freelist_count) * page_size AS size FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    )
    .all();
  return {
    transcript: statSync(fileOf(session, config)).size,
    lines: Number(lines?.["sum"] ?? 0),
    file: Number(pages?.["size"]),
  };
}

interface Figures {
  readonly warm: Record<string, Spread>;
  readonly wake: Record<string, Spread>;
  readonly restored: Spread;
  readonly bytes: Record<string, Record<string, Bytes>>;
}

function textOf({ warm, wake, restored, bytes }: Figures): string {
  const style = { head: [], border: [] };
  const times = new Table({ head: ["ms", "local", "journal", "ratio"], style });
  const cells = ({ local, journal, ratio }: Record<string, Spread>) => [cell(local), cell(journal), cell(ratio, 2)];
  times.push(["warm turn", ...cells(warm)]);
  times.push(["wake to the reply", ...cells(wake)]);
  times.push(["the same, without the file", "", cell(restored), ""]);
  const sizes = new Table({
    head: ["bytes per turn", "transcript", "lines in the journal", "the journal's file"],
    style,
  });
  for (const [kind, sides] of Object.entries(bytes)) {
    for (const [name, { transcript, lines, file }] of Object.entries(sides)) {
      sizes.push([`${kind}, ${name}`, transcript.toFixed(0), lines.toFixed(0), file.toFixed(0)]);
    }
  }
  return `${times}\n${sizes}`;
}

function cell(spread: Spread | undefined, digits = 0): string {
  if (spread === undefined) return "";
  return `${spread.median.toFixed(digits)} (${spread.low.toFixed(digits)}..${spread.high.toFixed(digits)})`;
}

if (options.help) console.log(USAGE);
else await run(Number(options.rounds));
