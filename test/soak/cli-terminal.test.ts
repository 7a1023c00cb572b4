import { join } from "node:path";
import { expect, test } from "vitest";
import { listen } from "../../src/server/listen.ts";
import { type FakeScript, fakeClaude } from "../../src/testing/index.ts";
import { ServerScene } from "../server/scene.ts";
import { TmuxScreen } from "./tmux-screen.ts";

/* The commands for a terminal, typed and read in a real one. */

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
const LONG = "word ".repeat(40).trim();

const script: FakeScript = async (turn) => {
  if (turn.prompt === "hang") await turn.toolUse("Bash", { command: "hang" }, { hang: true });
  if (turn.prompt.startsWith("ask")) {
    const decision = await turn.askPermission("Write", { file_path: "/tmp/a" });
    const told = decision.behavior === "deny" ? decision.message : "";
    return await turn.text(`decision: ${decision.behavior} ${told}`);
  }
  await turn.text(`re: ${turn.prompt}: ${LONG}\nlast line`);
};

test.skipIf(!(await TmuxScreen.isThere()))(
  "castellan attach: shows the live answer, takes prompts, answers approvals, and leaves the session running",
  async () => {
    const session = { name: "assistant", approvals: true, includePartialMessages: true };
    await using scene = await ServerScene.start([session], {}, fakeClaude(script));
    await using server = await listen(scene.supervisor, { tokens: false });
    await using screen = await TmuxScreen.start(commandLine(server.url, "attach assistant"));
    await screen.until(/is idle[\s\S]*> $|is idle[\s\S]*>$/);

    // Typed while the answer comes: the typed text stays on its line, and the answer stands above, once.
    await screen.type("hello");
    const answered = await screen.until("= completed");
    expect(answered.match(/re: hello/g)).toHaveLength(1);
    expect(answered.match(/> hello/g)).toHaveLength(1);
    expect(answered.replaceAll("\n", "").match(/word/g)).toHaveLength(40);
    expect(answered).toMatch(/\nlast line\n= completed \(/);

    await screen.type("ask one");
    await screen.until("Approve Write?");
    await screen.type("n use the staging files");
    await screen.until("decision: deny use the staging files");
    await screen.type("ask two");
    await screen.until(/ask two[\s\S]*Approve Write\?/);
    // Somebody else answers.
    scene.supervisor.session("assistant").approvals()[0]?.approve({ by: "ann" });
    await screen.until("approved by ann");
    await screen.until("decision: allow");

    await screen.type("hang");
    await screen.until(/Bash .*hang/);
    await screen.press("C-c");
    await screen.until("= interrupted");
    await screen.type("/nonsense");
    await screen.until("There is no /nonsense");
    await screen.press("C-d");
    await screen.until("exit code 0");
    expect(scene.supervisor.session("assistant").status().state).toBe("idle");
    expect((await scene.supervisor.query("assistant", "still there")).text).toContain("re: still there");
  },
);

test.skipIf(!(await TmuxScreen.isThere()))(
  "castellan top: shows what is busy, outlives a server that restarts, and ends at q",
  async () => {
    const children = Array.from({ length: 40 }, (_, n) => ({ name: `session-${n}`, activation: "lazy" as const }));
    await using scene = await ServerScene.start(children, {}, fakeClaude(script));
    let server = await listen(scene.supervisor, { tokens: false });
    await using screen = await TmuxScreen.start(commandLine(server.url, "top --interval 200ms"));
    await screen.until("0 turns (0 waiting), 40 sessions");
    const hanging = scene.supervisor.query("session-39", "hang").catch(() => {});
    const busy = await screen.until(/session-39 +busy/);
    // The busy one stands first, and the list ends with the screen.
    expect(busy.split("\n")[4]).toMatch(/^session-39 +busy/);
    expect(busy.split("\n").length).toBeLessThanOrEqual(24);
    const port = Number(new URL(server.url).port);
    await server.close({ deadline: 0 });
    await screen.until("cannot be reached");
    server = await listen(scene.supervisor, { tokens: false, port });
    await screen.until("1 turns (0 waiting)");
    await scene.supervisor.session("session-39").interrupt();
    await hanging;
    await screen.press("q");
    await screen.until("exit code 0");
    await server.close();
  },
);

function commandLine(url: string, args: string): string {
  return `NO_COLOR=1 CASTELLAN_URL=${url} ${process.execPath} ${MAIN} ${args}`;
}
