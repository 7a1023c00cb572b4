import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../test/free-port.ts";
import { TmuxScreen } from "../test/soak/tmux-screen.ts";
import { withShell } from "./terminal-shell.ts";

/*
 * Types the commands of the server into two real terminals, and writes their screens to docs/terminal.md. Claude Code is the fake of
 * `castellan/testing`. `--print` prints the page instead. Replaces ids, times and the port, which differ from run to run, with constants of the same width.
 */

const ROOT = join(import.meta.dirname, "..");
const PAGE = join(ROOT, "docs/terminal.md");

/** The config that `castellan serve` loads. */
const CONFIG = `
import { fakeClaude } from ${JSON.stringify(join(ROOT, "src/testing/index.ts"))};

const fake = fakeClaude(async (turn) => {
  if (turn.prompt.includes("release")) {
    const command = "npm version minor";
    const decision = await turn.askPermission("Bash", { command });
    return await turn.text(decision.behavior === "allow" ? "Version 1.4.0 is tagged." : "I have tagged nothing.");
  }
  if (turn.prompt.includes("whole suite")) return await turn.toolUse("Bash", { command: "npm test" }, { hang: true });
  if (turn.prompt.includes("last commit")) return await turn.text("One finding: parse() accepts an empty list and returns undefined.");
  await turn.text("You are welcome. I have nothing else to do.");
});

export default {
  journal: "memory",
  defaults: { spawnClaudeCodeProcess: fake.spawn, includePartialMessages: true },
  children: [
    { name: "assistant", approvals: true },
    { name: "reviewer" },
    { name: ["support", 42] },
  ],
};
`;

/** The digits of the one id on the screens. */
const ID = "5f2c81d03e9a4b7c8d16a0e4f7b92c35";

const { values: options } = parseArgs({ options: { print: { type: "boolean", default: false } } });
const page = await withShell(CONFIG, sections);
if (options.print) process.stdout.write(page);
else await writeFile(PAGE, page);

/** A screen of the page. */
interface Section {
  readonly title: string;
  readonly text: string;
  readonly screen: string;
}

async function sections(shell: string): Promise<string> {
  const port = await freePort();
  const found: Section[] = [];
  const shows = (title: string, text: string, screen: string): void => {
    found.push({ title, text, screen: screen.replaceAll(String(port), "4870") });
  };
  await using server = await TmuxScreen.start(shell);
  await using client = await TmuxScreen.start(shell);
  await server.until(/^\$$/);
  await client.until(/^\$$/);
  /** Types a command on an empty screen, and returns the screen when the next prompt is there. */
  const runs = async (command: string): Promise<string> => {
    await client.press("C-l");
    await client.until(/^\$$/);
    await client.type(command);
    return withoutPrompt(await client.until(/\n\$$/));
  };

  await server.type(`castellan serve --listen 127.0.0.1:${port}`);
  shows("serve", "In one terminal, the server:", await server.until("Serving 3 sessions"));
  shows("ps", "In another one, in the same folder:", await runs("castellan ps"));
  shows("query", "A prompt and its reply:", await runs('castellan query reviewer "Review the last commit."'));

  await client.press("C-l");
  await client.until(/^\$$/);
  await client.type("castellan attach assistant");
  await client.until(/is idle[\s\S]*>$/);
  await client.type("Prepare the release.");
  await client.until("Approve Bash?");
  shows("attach", "A session, live. Its tool asks for permission, and `y` would allow it:", await client.text());
  await client.press("C-d");
  await client.until(/>\n\$$/);
  const listed = await runs("castellan approvals");
  shows("approvals", "Ctrl-D leaves, and the session waits on. Somebody else answers:", listed);
  const id = /^([0-9a-f]{8}-[0-9a-f-]+)/m.exec(listed)?.[1];
  if (id === undefined) throw new Error(`no approval is listed:\n${listed}`);
  shows("approve", "", await runs(`castellan approve ${id}`));
  shows("logs", "", await runs("castellan logs assistant"));

  await runs('castellan query reviewer "Run the whole suite." --detach');
  await client.press("C-l");
  await client.until(/^\$$/);
  await client.type("castellan top --interval 500ms");
  shows("top", "What is busy, until `q`:", await client.until(/reviewer +busy +[2-9]s/));
  await client.press("q");
  await client.until(/\$$/);
  shows("interrupt", "", await runs("castellan interrupt reviewer"));
  await server.press("C-c");
  shows(
    "The end",
    "SIGINT lets the running turns finish, and ends the server:",
    withoutPrompt(await server.until(/\n\$$/)),
  );
  return pageOf(found);
}

function withoutPrompt(screen: string): string {
  return screen.replace(/\n\$$/, "");
}

function pageOf(found: readonly Section[]): string {
  const intro =
    "A session in two terminals of 80 columns, recorded by `npm run docs:terminal`. Claude Code is the fake of `castellan/testing`; ids and times\nare constants. [The server](guide/server.md) explains the commands.";
  const parts = found.map(({ title, text, screen }) =>
    [`## ${title}`, ...(text === "" ? [] : [text]), `\`\`\`text\n${constant(screen)}\n\`\`\``].join("\n\n"),
  );
  return `${["# A terminal session", intro, ...parts].join("\n\n")}\n`;
}

/** Replaces what differs from run to run with constants of the same width. */
function constant(screen: string): string {
  return (
    screen
      // A terminal of 80 columns breaks an id at any place.
      .replaceAll(/[0-9a-f](?:\n?[0-9a-f]){7}(?:\n?-(?:\n?[0-9a-f]){4}){3}\n?-(?:\n?[0-9a-f]){12}/g, (id) => {
        let at = 0;
        return id.replaceAll(/[0-9a-f]/g, () => ID[at++] ?? "");
      })
      .replaceAll(/\b\ds\b/g, "2s")
  );
}
