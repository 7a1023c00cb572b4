import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { type Child, type ChildExit, query, type Reply, Supervisor, type SupervisorOptions } from "castellan";

// #region services
export async function startServices(options: SupervisorOptions = {}): Promise<AsyncDisposable> {
  const stack = new AsyncDisposableStack();
  const support = await Supervisor.start([{ name: ["support", "triage"] }, { name: ["support", "reply"] }], {
    ...options,
    name: "support",
    budget: { usd: 50, per: "day" },
    defaults: { model: "claude-haiku-4-5", apiKey: { env: "SUPPORT_KEY" }, ...options.defaults },
  });
  stack.use(support);
  const research = await Supervisor.start([{ name: ["research", "reader"] }], {
    ...options,
    name: "research",
    budget: { usd: 200, per: "day" },
    capacity: { maxProcesses: 4 },
    defaults: { apiKey: { env: "RESEARCH_KEY" }, ...options.defaults },
  });
  stack.use(research);
  return stack;
}
// #endregion

// #region worker
async function startServer(port: number, listening: (server: Server) => void): Promise<Child> {
  const server = createServer(async (request, response) => {
    const reply = await query("answers", await text(request)).catch((error: unknown) => error);
    if (reply instanceof Error) response.writeHead(503).end();
    else response.end((reply as Reply).text);
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening"); // rejects if the port is taken
  let exit: ChildExit = { reason: "shutdown" };
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  server.once("error", (cause) => {
    exit = { reason: "abnormal", cause };
    close();
  });
  const exited = once(server, "close").then(() => exit);
  listening(server);
  const stop = async (): Promise<void> => {
    close();
    await exited;
  };
  return { exited, stop };
}

export async function startWithServer(
  listening: (server: Server) => void,
  options: SupervisorOptions = {},
): Promise<Supervisor> {
  return await Supervisor.start([{ name: "answers" }, { id: "http", start: () => startServer(0, listening) }], {
    ...options,
    strategy: "rest_for_one",
  });
}
// #endregion
