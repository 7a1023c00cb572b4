import { join } from "node:path";
import { DCLinter } from "dclint";
import { validate } from "dockerfile-utils";
import { expect, test } from "vitest";
import { parseDuration } from "../../src/duration.ts";
import { commandFolder } from "../cli/command-line.ts";
import { composeFile, DEPLOY, deployFile, optionOf } from "./deploy-file.ts";
import { imageConfig } from "./dockerfile.ts";

const app = imageConfig(deployFile("app/Dockerfile"));
const drainMs = parseDuration(optionOf(app.cmd, "--drain-timeout")) ?? Number.POSITIVE_INFINITY;

test.for(["app/Dockerfile", "compose/pgbouncer/Dockerfile"])(
  "deploy/%s: has no problem that Docker or a linter sees",
  (path) => {
    const text = deployFile(path);
    expect(validate(text.replace("STOPSIGNAL", "STOPSIGNALS"))).not.toEqual([]);
    expect(validate(text)).toEqual([]);
  },
);

test("deploy/app/Dockerfile: runs `castellan serve` below an init, as a user that is not root", () => {
  expect(app.entrypoint).toEqual(["/usr/bin/tini", "--"]);
  expect(app.cmd.slice(0, 2)).toEqual(["castellan", "serve"]);
  expect(app.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
  expect(app.healthcheck).toMatch(/^castellan health --probe livez/);
  expect(app.volumes).toEqual(expect.arrayContaining([app.workdir, app.env["HOME"]]));
});

test("deploy/app/.dockerignore: lets in what the Dockerfile copies, and nothing else", () => {
  const copied = [...deployFile("app/Dockerfile").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = ""]) =>
    names.split(" "),
  );
  const lines = deployFile("app/.dockerignore")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  expect(lines[0]).toBe("*");
  expect(lines.slice(1).toSorted()).toEqual([...new Set(copied)].map((name) => `!${name}`).toSorted());
});

/** Off: the order of keys, and the names that the images which these files build get. */
const RULES = {
  "no-build-and-image": 0,
  "require-quotes-in-ports": [1, { quoteType: "double" }],
  "service-keys-order": 0,
  "services-alphabetical-order": 0,
  "top-level-properties-order": 0,
} as const;

/** The types of dclint refer to files without extensions, which the compiler does not find. */
interface LintResult {
  readonly messages: readonly { readonly line: number; readonly message: string }[];
}

const COMPOSE_FILES = ["one-host.yaml", "cluster.yaml"];

/** What the linter finds in a file. */
function problemsOf(path: string): string[] {
  const linter = new DCLinter({ rules: RULES, quiet: false, debug: false, exclude: [] });
  const [result]: readonly LintResult[] = linter.lintFiles([path], false);
  if (result === undefined) throw new Error(`${path} was not read`);
  return result.messages.map(({ line, message }) => `${line}: ${message}`);
}

test.for(COMPOSE_FILES)(
  "deploy/compose/%s: fits the schema of compose files, and has no problem that a linter sees",
  async (name) => {
    expect(problemsOf(join(DEPLOY, "compose", name))).toEqual([]);
    const wrong = join(
      await commandFolder({ [name]: deployFile(`compose/${name}`).replace("read_only:", "read_onyl:") }),
      name,
    );
    expect(problemsOf(wrong)).toEqual([expect.stringContaining("additional properties")]);
  },
);

test.for(COMPOSE_FILES)(
  "deploy/compose/%s: gives each container of the application what the image and its drain need",
  (name) => {
    const { services, volumes } = composeFile(name);
    const own = Object.values(services).filter(({ image }) => image === "castellan-app:local");
    expect(own).toHaveLength(name === "cluster.yaml" ? 3 : 1);
    for (const service of own) {
      expect(parseDuration(service.stop_grace_period)).toBeGreaterThan(drainMs + 5_000);
      expect(service).toMatchObject({ read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] });
      const targets = (service.volumes ?? []).map((volume) => volume.split(":"));
      expect(targets.map(([, path]) => path)).toEqual(expect.arrayContaining([...app.volumes]));
      expect(Object.keys(volumes)).toEqual(expect.arrayContaining(targets.map(([volume]) => volume)));
      expect(service.tmpfs?.some((tmpfs) => tmpfs.startsWith("/tmp"))).toBe(true);
    }
  },
);

test("deploy/compose/cluster.yaml: gives each node a name, an address, a journal folder and a home of its own", () => {
  const nodes = Object.entries(composeFile("cluster.yaml").services).filter(
    ([, { environment }]) => environment?.["NODE_NAME"],
  );
  expect(nodes.map(([service]) => service)).toEqual(["node-1", "node-2", "node-3"]);
  for (const [service, { environment = {} }] of nodes) {
    expect(environment).toMatchObject({ NODE_NAME: service, ADVERTISE: `http://${service}:7700` });
  }
  const own = nodes.flatMap(([, { volumes = [] }]) => volumes.filter((volume) => !volume.startsWith("tokens:")));
  expect(new Set(own).size).toBe(own.length);
});

test("deploy/compose/.env.example: names each variable that the files require", () => {
  const required = COMPOSE_FILES.flatMap((name) => [...deployFile(`compose/${name}`).matchAll(/\$\{(\w+):\?/g)]).map(
    ([, variable]) => variable,
  );
  const named = [...deployFile("compose/.env.example").matchAll(/^(\w+)=$/gm)].map(([, variable]) => variable);
  expect(named.toSorted()).toEqual([...new Set(required)].toSorted());
});
