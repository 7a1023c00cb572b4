import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CastellanClient } from "../../src/client/index.ts";
import { type MockApi, mockApi } from "../../src/testing/index.ts";
import { AppImage } from "./app-image.ts";
import { Container, type ContainerOptions, runsContainers, volumeFolder } from "./container.ts";

/* The packed package in a container as deploy/app/Dockerfile describes it, on the real Claude Code. No registry is needed: see `AppImage`. */

const NAME = ["support", 42] as const;
const JUST_SAID = "What did I just say?";
const SCOPES = ["read", "talk", "approve", "operate"];

/** The folders of a container's volumes, and what its commands get. */
interface Host extends ContainerOptions {
  readonly journal: string;
  readonly home: string;
  readonly api: MockApi;
  readonly token: string;
}

describe.skipIf(!runsContainers)("the image of deploy/app", { timeout: 120_000 }, () => {
  let image: AppImage;

  beforeAll(async () => {
    image = await AppImage.build();
  }, 120_000);

  afterAll(() => image?.[Symbol.asyncDispose]());

  /** A host with empty volumes and one token, as after the first two commands of the guide. */
  async function host(
    options: Partial<ContainerOptions> = {},
    owner: Parameters<typeof volumeFolder>[2] = {},
  ): Promise<Host> {
    const api = await mockApi();
    const parent = await mkdtemp(join(tmpdir(), "castellan-volumes-"));
    onTestFinished(async () => {
      await api.stop();
      await rm(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    });
    const [journal, home] = [await volumeFolder(parent, "journal", owner), await volumeFolder(parent, "home", owner)];
    // Where Claude Code finds the model; HOME and PATH are the image's.
    const { HOME: _, PATH: __, CLAUDE_CONFIG_DIR: ___, ...env } = api.env;
    const own = {
      image,
      volumes: { "/var/lib/castellan": journal, "/home/castellan": home },
      ...options,
      env: { ...env, ...options.env },
    };
    const created = await Container.run(own, "castellan", "token", "create", "--scope", ...SCOPES, "--json");
    expect(created).toMatchObject({ code: 0 });
    return { ...own, journal, home, api, token: JSON.parse(created.stdout).token };
  }

  const clientOf = ({ url }: Container, { token }: Host): CastellanClient => new CastellanClient({ url, token });

  test("runs read-only as its user below tini, answers, is healthy, and survives a kill of Claude Code", async () => {
    const own = await host();
    await using container = await Container.start(own);
    const client = clientOf(container, own);
    const { text } = await client.session(NAME).query("hello");
    expect(text).toBe("You said: hello");
    expect(await container.exec("id -u; cat /proc/1/comm; touch /app/x || touch /x || echo read-only")).toMatchObject({
      stdout: "1000\ntini\nread-only\n",
    });
    expect(await container.exec(image.config.healthcheck)).toMatchObject({ code: 0, stdout: "livez: ok\n" });
    expect(await (await fetch(container.metricsUrl)).text()).toMatch(/^castellan_turns_total\{.*\} 1$/m);

    const { status } = await client.session(NAME).get();
    await container.exec(`kill -9 ${status?.pid}`);
    expect((await client.session(NAME).query(JUST_SAID)).text).toBe("You just said: hello");
    const zombies = await container.exec("grep -l '^State:.Z' /proc/[0-9]*/status | wc -l");
    expect(zombies.stdout).toBe("0\n");
    // No token of the API reaches the log, and nothing is missing.
    expect(container.stderr.trimEnd().split("\n")).toEqual([expect.stringContaining("without TLS")]);
  });

  test("lets the running turn finish at its stop signal, and ends by it", async () => {
    const own = await host();
    own.api.reply("slow", { text: "word ".repeat(60).trim(), tokensPerSecond: 30 });
    await using container = await Container.start(own);
    const client = clientOf(container, own);
    const slow = client.session(NAME).query("slow");
    await own.api.requested(1);
    const stopped = container.stop();
    expect((await slow).text.split(" ")).toHaveLength(60);
    // 128 and the number of the signal.
    expect(await stopped).toMatchObject({ code: 143 });
    expect(own.api.errors).toEqual([]);
  });

  test("keeps conversations with the journal, whatever becomes of HOME, and forgets them without it", async () => {
    const own = await host();
    const ask = async (prompt: string): Promise<string> => {
      await using container = await Container.start(own);
      const { text } = await clientOf(container, own).session(NAME).query(prompt);
      await container.stop();
      return text;
    };
    expect(await ask("one")).toBe("You said: one");
    expect(await ask(JUST_SAID)).toBe("You just said: one");

    expect(await readdir(own.home)).not.toEqual([]);
    for (const name of await readdir(own.home)) await rm(join(own.home, name), { recursive: true });
    expect(await ask("And what did I just say?")).toBe(`You just said: ${JUST_SAID}`);

    const state = join(own.journal, ".castellan");
    expect(await readdir(join(state, "sessions"))).toEqual([".gitignore", expect.stringMatching(/^support-42-/)]);
    await rm(join(state, "sessions"), { recursive: true });
    expect(await ask("What did I just say, again?")).toBe("You just said: And what did I just say?");

    const databases = (await readdir(state)).filter((name) => name.startsWith("castellan.db"));
    expect(databases).not.toEqual([]);
    for (const name of databases) await rm(join(state, name));
    expect(await ask(JUST_SAID)).toBe("You have not said anything yet.");
  });

  test("runs as a user without an account, whose volumes Kubernetes has given to its group", async () => {
    const own = await host({ user: { uid: 12_345, gid: 12_345 } }, { uid: 0, gid: 12_345, mode: 0o2770 });
    await using container = await Container.start(own);
    expect((await clientOf(container, own).session(NAME).query("hello")).text).toBe("You said: hello");
    expect(await container.exec("id -u")).toMatchObject({ stdout: "12345\n" });
  });

  test.for([
    ["is not set", undefined],
    ["cannot be written", "/app"],
  ] as const)("says that it keeps no conversation if HOME %s", async ([, HOME]) => {
    const own = await host({ env: { HOME } });
    const doctor = await Container.run(own, "sh", "-c", "castellan doctor --json");
    expect(JSON.parse(doctor.stdout)).toContainEqual({
      subject: "Claude Code's files",
      verdict: "failed",
      message: expect.stringContaining(`${HOME ?? "/home/node"}/.claude cannot be written`),
    });
    {
      await using container = await Container.start(own);
      const client = clientOf(container, own);
      expect((await client.session(NAME).query("one")).text).toBe("You said: one");
      await expect
        .poll(async () => (await client.session(NAME).get()).status?.faults, { timeout: 20_000 })
        .toMatchObject([{ kind: "session_writes_lost" }]);
      await container.stop();
    }
    await using again = await Container.start(own);
    // It does not begin another conversation under the name.
    const asking = clientOf(again, own).session(NAME).query(JUST_SAID);
    await expect(asking).rejects.toMatchObject({ code: "SESSION_QUARANTINED" });
  });

  test("warns without an init, and still answers and ends", async () => {
    const own = await host({ entrypoint: [] });
    await using container = await Container.start(own);
    expect((await clientOf(container, own).session(NAME).query("hello")).text).toBe("You said: hello");
    expect(container.stderr).toContain("NO_INIT");
    await container.stop();
  });

  test("outlives the kernel's kill of a process when the container exceeds its memory", async () => {
    const own = await host({ memoryBytes: 1_200 * 2 ** 20 });
    await using container = await Container.start(own);
    const client = clientOf(container, own);
    await client.session(NAME).query("hello");
    // 128 and the number of SIGKILL.
    expect(await container.exec("tail /dev/zero")).toMatchObject({ code: 137 });
    expect(await container.exec(image.config.healthcheck)).toMatchObject({ code: 0 });
    expect((await client.session(NAME).query(JUST_SAID)).text).toBe("You just said: hello");
  });
});
