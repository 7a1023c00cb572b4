import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { mockApi } from "../../src/testing/index.ts";
import { composeFile, deployFile } from "../deploy/deploy-file.ts";
import { freePort } from "../free-port.ts";
import { PgBouncer } from "../journal/pgbouncer.ts";
import { PostgresServer } from "../journal/postgres-server.ts";
import { AppImage } from "./app-image.ts";
import { Container, runsContainers, volumeFolder } from "./container.ts";

/* The nodes of deploy/compose/cluster.yaml in containers, behind PgBouncer with its settings. */

const NAME = { global: ["support", 42] } as const;
const JUST_SAID = "What did I just say?";

test.skipIf(!runsContainers)(
  "deploy/compose/cluster.yaml: its nodes share tokens and sessions, and outlive the loss of one",
  { timeout: 180_000 },
  async () => {
    await using image = await AppImage.build();
    await using api = await mockApi();
    const server = await PostgresServer.start();
    onTestFinished(() => server.remove());
    await server.sql("create database castellan");
    const pooler = await PgBouncer.start(server, {
      settings: (port, users) =>
        deployFile("compose/pgbouncer/pgbouncer.ini")
          .replace("host=postgres port=5432", `host=127.0.0.1 port=${server.port}`)
          .replace("listen_addr = *", "listen_addr = 127.0.0.1")
          .replace("6432", String(port))
          .replace("/etc/pgbouncer/userlist.txt", users),
    });
    onTestFinished(() => pooler.remove());
    const parent = await mkdtemp(join(tmpdir(), "castellan-cluster-"));
    onTestFinished(() => rm(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }));

    const variables: Readonly<Record<string, string>> = {
      ANTHROPIC_API_KEY: api.env["ANTHROPIC_API_KEY"] ?? "",
      CLUSTER_SECRET: "0123456789abcdef".repeat(4),
      POSTGRES_PASSWORD: encodeURIComponent(server.password),
    };
    const { services } = composeFile("cluster.yaml");
    const names = Object.keys(services).filter((name) => name.startsWith("node-"));
    const tokens = await volumeFolder(parent, "tokens");
    const { HOME: _, PATH: __, CLAUDE_CONFIG_DIR: ___, ...model } = api.env;
    const nodes = await Promise.all(
      names.map(async (name) => {
        const own = Object.entries(services[name]?.environment ?? {}).map(async ([variable, value]) => {
          const here = value
            .replace(/\$\{(\w+):\?\}/g, (_match, wanted: string) => variables[wanted] ?? "")
            .replace("pgbouncer:6432", `127.0.0.1:${pooler.port}`)
            .replace("postgres:5432", `127.0.0.1:${server.port}`)
            .replace(`${name}:7700`, `127.0.0.1:${await freePort()}`);
          return [variable, here] as const;
        });
        const volumes = {
          "/etc/castellan": tokens,
          "/var/lib/castellan": await volumeFolder(parent, `${name}-state`),
          "/home/castellan": await volumeFolder(parent, `${name}-home`),
        };
        return { image, volumes, env: { ...model, ...Object.fromEntries(await Promise.all(own)) } };
      }),
    );
    const [first] = nodes;
    if (first === undefined) throw new Error("the file has no node");
    const created = await Container.run(first, "castellan", "token", "create", "--scope", "read", "talk", "--json");
    const { token } = JSON.parse(created.stdout);

    const containers = await Promise.all(nodes.map((node) => Container.start(node)));
    await using running = new AsyncDisposableStack();
    for (const container of containers) running.use(container);
    const clients = containers.map(({ url }) => new CastellanClient({ url, token }));
    const texts = [];
    for (const client of clients) texts.push((await client.session(NAME).query("hello")).text);
    expect(texts).toEqual(["You said: hello", "You said: hello", "You said: hello"]);
    // Each container finds its own server, although the nodes share a volume.
    for (const container of containers) {
      expect(await container.exec(image.config.healthcheck)).toMatchObject({ code: 0 });
      expect(await container.exec("castellan nodes --json | grep -c node-")).toMatchObject({ code: 0 });
    }

    const info = await clients[0]?.session(NAME).get();
    const owner = names.indexOf(String(info?.node));
    expect(owner).toBeGreaterThanOrEqual(0);
    await containers[owner]?.signal("SIGKILL");
    const other = clients[(owner + 1) % clients.length];
    const reply = await other?.session(NAME).query(JUST_SAID, { idempotencyKey: "again" });
    expect(reply?.text).toBe("You just said: hello");
  },
);
