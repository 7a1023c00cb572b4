import { createServer, type Socket } from "node:net";
import { type Memory, PlainClaude } from "./plain-claude.ts";
import { linesOf, run } from "./plain-process.ts";

/* The other side of FarClaude: each connection is a process; all share their transcripts. */

const memory: Memory = new Map();
const running = new Set<Socket>();
const count = { started: 0, most: 0 };

const server = createServer({ allowHalfOpen: true }, (socket) => {
  running.add(socket);
  count.started += 1;
  count.most = Math.max(count.most, running.size);
  void serve(socket).catch(() => socket.destroy());
});

async function serve(socket: Socket): Promise<void> {
  const lines = linesOf(socket);
  const { value: first } = await lines.next();
  const { args } = JSON.parse(first ?? "{}") as { args: string[] };
  let dead = false;
  const end = (): void => {
    if (dead) return;
    dead = true;
    running.delete(socket);
    socket.end();
  };
  await run(new PlainClaude(args, memory, end), lines, socket);
  end();
}

process.on("message", () => process.send?.(count));
process.on("disconnect", () => process.exit());
server.listen(process.argv[2], () => process.send?.("ready"));
