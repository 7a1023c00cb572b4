import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { DEPLOY, deployFile } from "../../deploy/deploy-file.ts";

/** An object of Kubernetes, as a template makes it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly [field: string]: unknown;
}

type Values = Readonly<Record<string, unknown>>;

const TEMPLATES = join(DEPLOY, "helm/castellan/templates");

/** Renders the chart of `deploy/helm` by a program in Go, which is built once: Go has the template engine of Helm. */
export class Chart implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async build(): Promise<Chart> {
    const folder = await mkdtemp(join(tmpdir(), "castellan-helm-"));
    // Debian puts the sources of libraries here, outside of modules.
    const env = {
      ...process.env,
      GO111MODULE: "off",
      GOPATH: "/usr/share/gocode",
      GOCACHE: join(folder, "cache"),
      GOFLAGS: "",
    };
    await said("go", ["build", "-o", join(folder, "render"), join(import.meta.dirname, "render.go")], "", env);
    return new Chart(folder);
  }

  /** The values that a release gets: those of the chart, with changes. */
  values(changes: Values = {}): Values {
    return merged(parse(deployFile("helm/castellan/values.yaml")) as Values, changes);
  }

  /** Returns the objects of a release by kind. @throws Error if a template fails, or makes two objects of a kind */
  async render(changes: Values = {}): Promise<ReadonlyMap<string, Manifest>> {
    const { name, version } = parse(deployFile("helm/castellan/Chart.yaml"));
    const input = {
      Chart: { Name: name, Version: version },
      Release: { Name: "shop", Namespace: "default", Service: "Helm" },
      Values: this.values(changes),
    };
    const files = JSON.parse(await said(join(this.#folder, "render"), [TEMPLATES], JSON.stringify(input))) as Record<
      string,
      string
    >;
    const manifests = new Map<string, Manifest>();
    for (const [file, text] of Object.entries(files)) {
      if (!file.endsWith(".yaml")) continue;
      for (const document of parseAllDocuments(text)) {
        if (document.errors[0] !== undefined) throw new Error(`${file}: ${document.errors[0].message}`);
        const manifest = document.toJS() as Manifest | null;
        if (manifest === null) continue;
        if (manifests.has(manifest.kind)) throw new Error(`two objects of the kind ${manifest.kind}`);
        manifests.set(manifest.kind, manifest);
      }
    }
    return manifests;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Merges as Helm does: maps field by field, everything else as a whole. */
function merged(values: Values, changes: Values): Values {
  const result: Record<string, unknown> = { ...values };
  for (const [name, change] of Object.entries(changes)) {
    const own = result[name];
    result[name] = isMap(own) && isMap(change) ? merged(own, change) : change;
  }
  return result;
}

function isMap(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Runs a program, and returns what it prints. @throws Error with what it says about its failure */
async function said(
  program: string,
  args: readonly string[],
  input: string,
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  return await new Promise((resolve, reject) => {
    const child = execFile(program, args, { env, maxBuffer: 1e7 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.trim() || error.message));
    });
    child.stdin?.end(input);
  });
}
