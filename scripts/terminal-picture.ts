import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { freePort } from "../test/free-port.ts";
import { TmuxScreen } from "../test/soak/tmux-screen.ts";
import { withShell } from "./terminal-shell.ts";
import { type RecordedLine, terminalSvg } from "./terminal-svg.ts";

/*
 * Types commands into a real terminal, and draws what appears there to docs/pictures/terminal.svg, in the order and at about the pace of the recording. Claude Code is
 * real, and talks to the mock of the model's API. `--print` prints the picture instead.
 */

const ROOT = join(import.meta.dirname, "..");
const PICTURE = join(ROOT, "docs/pictures/terminal.svg");

/** The config that `castellan serve` loads. The model finds the order in the conversation that Claude Code sends. */
const CONFIG = `
import { mockApi } from ${JSON.stringify(join(ROOT, "src/testing/index.ts"))};

const api = await mockApi();
const orderIn = ({ messages }) => messages.map(({ text }) => /order is (\\S+?)\\.?$/m.exec(text)?.[1]).find(Boolean);
api.reply("My order is", (request) => \`I have noted \${orderIn(request)}.\`);
api.reply("Which order", (request) => \`It is \${orderIn(request) ?? "unknown to me"}.\`);

export default {
  journal: "memory",
  defaults: { env: api.env, cwd: api.cwd },
  children: [{ name: "reviewer" }, { name: ["support", 42] }],
};
`;

const { values: options } = parseArgs({ options: { print: { type: "boolean", default: false } } });
const picture = await withShell(CONFIG, recorded);
if (options.print) process.stdout.write(picture);
else await writeFile(PICTURE, picture);

async function recorded(shell: string): Promise<string> {
  await using server = await TmuxScreen.start(shell);
  await using client = await TmuxScreen.start(shell);
  await server.until(/^\$$/);
  await client.until(/^\$$/);
  await server.type(`castellan serve --listen 127.0.0.1:${await freePort()}`);
  await server.until("Serving 2 sessions");

  const lines: RecordedLine[] = [];
  /** Types a command, and returns what it says. */
  const runs = async (command: string, says: RegExp): Promise<string> => {
    await client.press("C-l");
    await client.until(/^\$$/);
    const since = performance.now();
    await client.type(command);
    const screen = (await client.until(says)).replace(/\n\$$/, "");
    const tookMs = performance.now() - since;
    // The command stands in the first row, and all it says appears at its end.
    screen.split("\n").forEach((text, row) => {
      lines.push({ text, isTyped: row === 0, afterMs: row === 1 ? tookMs : 0 });
    });
    return screen;
  };

  await runs('castellan query support/42 "My order is 7-4711."', /noted[^\n]*\n\$$/);
  const sessions = await runs("castellan ps", /support\/42[^\n]*\n\$$/);
  const pid = /^support\/42 +idle +\d+ +(\d+)/m.exec(sessions)?.[1];
  if (pid === undefined) throw new Error(`no process is listed:\n${sessions}`);
  await runs(`kill -9 ${pid}`, /\n\$$/);
  await runs('castellan query support/42 "Which order is mine?"', /It is[^\n]*\n\$$/);
  await runs("castellan ps", /support\/42[^\n]*\n\$$/);
  await server.press("C-c");
  await server.until(/\n\$$/);
  return terminalSvg(lines, "A session keeps its conversation when its process is killed");
}
