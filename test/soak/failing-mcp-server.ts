import { createInterface } from "node:readline";

/* An MCP server whose argument selects its behaviour: `exit`, `hang`, `serve`, or `die` on SIGUSR2. */

const [, , mode] = process.argv;

function send(id: unknown, result: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
}

if (mode === "exit") {
  process.stderr.write(`DATABASE_URL is not set, the key is ${process.env["SERVER_KEY"] ?? "none"}\n`);
  process.exit(3);
} else if (mode === "hang") {
  setInterval(() => {}, 60_000);
} else {
  process.on("SIGUSR2", () => process.exit(9));
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, method, params } = JSON.parse(line);
    if (method === "initialize") {
      const serverInfo = { name: "failing", version: "1.0.0" };
      send(id, { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo });
    } else if (method === "tools/list") {
      const inputSchema = { type: "object", properties: {} };
      send(id, { tools: ["ping", "fall"].map((name) => ({ name, description: name, inputSchema })) });
    } else if (method === "tools/call") {
      if (params.name === "fall") process.exit(7);
      send(id, { content: [{ type: "text", text: "pong" }] });
    } else if (id !== undefined) send(id, {});
  }
}
