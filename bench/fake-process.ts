import { PlainClaude } from "./plain-claude.ts";
import { linesOf, run } from "./plain-process.ts";

/* A process in place of Claude Code: the SDK starts it as its `pathToClaudeCodeExecutable`. */

const claude = new PlainClaude(process.argv, new Map(), () => process.kill(process.pid, "SIGKILL"));
await run(claude, linesOf(process.stdin), process.stdout);
