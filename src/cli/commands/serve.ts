import { mkdir } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import type { stopOnSignals as StopOnSignals } from "../../application/signals.ts";
import type { Supervisor } from "../../application/supervisor.ts";
import { systemClock } from "../../clock.ts";
import type { Duration } from "../../duration.ts";
import { withoutUndefined } from "../../fields.ts";
import { formatName } from "../../names.ts";
import type { ListeningServer } from "../../server/index.ts";
import type { MetricsServer } from "../connection/metrics-server.ts";
import { removeServerFile, writeServerFile } from "../connection/server-file.ts";
import { ServiceManager, systemdNotify } from "../connection/service-manager.ts";
import { serverLog } from "../terminal/server-log.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

interface ServeOptions {
  readonly config?: string;
  readonly cwd: string;
  readonly listen: Address;
  readonly reusePort: boolean;
  readonly socket: string | false;
  readonly tokens: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly allowHost?: string[];
  readonly allowOrigin?: string[];
  readonly drainTimeout: Duration;
  readonly accessLog: boolean;
  readonly dashboard: boolean;
  readonly metrics?: Address;
  readonly json?: boolean;
}

const EXAMPLES = `
The server prints one line when it is ready, and writes .castellan/server.json, by which the other commands find it. At SIGTERM or SIGINT it
lets running turns finish; a second signal ends them.

The page at /dashboard/ shows the sessions and operates them. Who needs a token for the server logs in with it.

Beyond the loopback interface callers need a token, see \`castellan token create\`. There it should have a certificate, or stand behind a
proxy that ends TLS. On the loopback interface callers need a token if one had been created before. The socket needs none: only its user can open it.

Examples:
  $ castellan serve
  $ castellan serve --config castellan.config.ts --listen 127.0.0.1:8080
  $ castellan serve --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem
  $ castellan serve --listen 127.0.0.1:0 --json     # prints {"url":"http://127.0.0.1:41234"}
`;

/** The command `serve`. */
export function serveCommand(): Command {
  return new Command("serve")
    .description("start the sessions of a config file, and serve them over HTTP")
    .option("--config <file>", "the config file; default: castellan.config.* in the working directory")
    .addOption(new Option("--cwd <folder>", "the working directory").default(process.cwd(), "the current folder"))
    .addOption(
      new Option("--listen <host:port>", "the address to listen on; port 0 takes any free one")
        .default({ host: "127.0.0.1", port: 0 }, "127.0.0.1:0")
        .argParser(parseAddress),
    )
    .option("--reuse-port", "let the next server listen on the same port while this one finishes its turns", false)
    .option("--socket <path>", "the unix socket to listen on as well", ".castellan/server.sock")
    .option("--no-socket", "listen on no unix socket")
    .addOption(
      new Option("--tokens <file>", "the file of the tokens")
        .env("CASTELLAN_TOKENS")
        .default(".castellan/tokens.jsonl"),
    )
    .option("--tls-cert <file>", "the certificate chain, in PEM")
    .option("--tls-key <file>", "the key of the certificate, in PEM")
    .option("--allow-host <name...>", "names that the Host header may have, besides the loopback ones")
    .option("--allow-origin <origin...>", "origins of pages on other hosts that may use the server")
    .option("--drain-timeout <duration>", "how long running turns may take after SIGTERM", "25s")
    .option("--no-dashboard", "serve no page at /dashboard/")
    .addOption(
      new Option(
        "--metrics <host:port>",
        "serve metrics for Prometheus at /metrics of this address, without tokens",
      ).argParser(parseAddress),
    )
    .option("--access-log", "write a line for each request to stderr", false)
    .option("--json", "print the ready line, and log, as JSON")
    .addHelpText("after", EXAMPLES)
    .action(serve);
}

async function serve(options: ServeOptions): Promise<void> {
  const { cwd, json = false, accessLog } = options;
  const log = serverLog((line) => console.error(line), Date.now, json);
  // Loaded on demand, so that the other commands start fast.
  const [{ startFromConfig }, { dashboard }, { listen }, { stopOnSignals }] = await Promise.all([
    import("../../config/start-from-config.ts"),
    import("../../dashboard/index.ts"),
    import("../../server/index.ts"),
    import("../../application/signals.ts"),
  ]);
  // Before the sessions start, so that it counts their processes.
  const metrics = await metricsServer(options);
  const supervisor = await startFromConfig({ cwd, ...withoutUndefined({ file: options.config }) }).catch(
    async (error: unknown) => {
      await metrics?.close();
      throw error;
    },
  );
  for (const { name, error } of supervisor.notStarted) log.warn(`${formatName(name)} did not start: ${error.message}`);
  try {
    const { tlsCert: cert, tlsKey: key, tokens, listen: address } = options;
    const socket = options.socket === false ? undefined : resolve(cwd, options.socket);
    if (socket !== undefined) await mkdir(dirname(socket), { recursive: true });
    const server = await listen(
      supervisor,
      withoutUndefined({
        ...address,
        reusePort: options.reusePort,
        fd: activatedSocket(process.env, process.pid),
        socket,
        tokens: resolve(cwd, tokens),
        // A certificate without its key is for `listen` to refuse.
        tls: cert === undefined && key === undefined ? undefined : { cert: cert ?? "", key: key ?? "" },
        hosts: options.allowHost,
        origins: options.allowOrigin,
        mounts: options.dashboard
          ? {
              "/dashboard": dashboard(supervisor, {
                auth: resolve(cwd, tokens),
                ...withoutUndefined({ hosts: options.allowHost }),
                logger: accessLog ? log : { info: () => {}, warn: log.warn },
              }),
            }
          : undefined,
        logger: accessLog ? log : { info: () => {}, warn: log.warn },
      }),
    );
    await writeServerFile({ url: server.url, pid: process.pid, ...(socket !== undefined && { socket }) }, cwd);
    const manager = new ServiceManager({
      env: process.env,
      pid: process.pid,
      clock: systemClock,
      isLive: () => supervisor.livez().ok,
      notify: systemdNotify,
    });
    const { target, leave, close } = ending(supervisor, server, cwd, manager, metrics);
    const unwire = stopOnSignals(target, { deadline: options.drainTimeout });
    // The next server of the same journal has the sessions: this one ends once its callers have their answers.
    void supervisor.handedOver.then(() => leave({ deadline: options.drainTimeout })).then(unwire);
    void supervisor.closed.then(async ({ reason }) => {
      if (reason === "stopped") return;
      console.error(`The supervisor has ended: ${reason}.`);
      process.exitCode = 1;
      unwire();
      await close();
    });
    const ready = readyLine(server, supervisor, metrics);
    const urls = { url: server.url, ...(metrics !== undefined && { metrics: metrics.url }) };
    console.log(json ? JSON.stringify(urls) : ready);
    await manager.ready(ready);
  } catch (error) {
    await Promise.all([supervisor.stop(), metrics?.close()]);
    throw error;
  }
}

async function metricsServer({ metrics, reusePort }: ServeOptions): Promise<MetricsServer | undefined> {
  if (metrics === undefined) return undefined;
  const { listenMetrics } = await import("../connection/metrics-server.ts");
  return await listenMetrics({ ...metrics, reusePort });
}

interface Ending {
  /** On a signal. */
  readonly target: Parameters<typeof StopOnSignals>[0];
  /** Once another server has the sessions. */
  readonly leave: (waiting: { readonly deadline?: Duration }) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Returns what ends the server and the supervisor together. */
function ending(
  supervisor: Supervisor,
  server: ListeningServer,
  cwd: string,
  manager: ServiceManager,
  metrics: MetricsServer | undefined,
): Ending {
  let closing: Promise<void> | undefined;
  const close = (open: { readonly deadline?: Duration } = {}): Promise<void> => {
    closing ??= server.close(open).finally(async () => {
      manager.stop();
      await metrics?.close();
      await removeServerFile(process.pid, cwd);
    });
    return closing;
  };
  const target = {
    // Answers and approvals get through while the turns finish.
    drain: async (waiting: { readonly deadline?: Duration }): Promise<void> => {
      server.drain();
      void manager.stopping();
      await supervisor.drain(waiting);
      await close();
    },
    stop: async (stopping: { readonly kill?: boolean } = {}): Promise<void> => {
      await Promise.all([supervisor.stop(stopping), close()]);
    },
  };
  const leave = async (waiting: { readonly deadline?: Duration }): Promise<void> => {
    void manager.stopping();
    // New requests go to the next server. A stopped supervisor would refuse those that still reach this one.
    await close(waiting);
    await supervisor.drain(waiting);
  };
  return { target, leave, close };
}

/** The first descriptor that systemd passes to a service. */
const FIRST_SOCKET = 3;

/** Returns the descriptor of the socket that systemd has activated this process by, if it has. */
function activatedSocket(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  return env["LISTEN_PID"] === String(pid) && Number(env["LISTEN_FDS"]) > 0 ? FIRST_SOCKET : undefined;
}

function readyLine(
  { url, needsToken }: ListeningServer,
  supervisor: Supervisor,
  metrics: MetricsServer | undefined,
): string {
  const count = supervisor.countSessions();
  const sessions = `${count} ${count === 1 ? "session" : "sessions"}`;
  const served = `Serving ${sessions} at ${url}${needsToken ? ", with tokens" : ", without tokens"}`;
  return metrics === undefined ? served : `${served}; metrics at ${metrics.url}`;
}

function parseAddress(text: string): Address {
  const [, host, port] = /^(?:(.+):)?(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw new InvalidArgumentError("Expected an address and a port, such as 127.0.0.1:8080.");
  }
  return { host: host?.replace(/^\[(.*)\]$/, "$1") ?? "127.0.0.1", port: Number(port) };
}
