import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandResult } from "../cli/command-line.ts";
import { freePort } from "../free-port.ts";
import { type AppImage, MODULES } from "./app-image.ts";

/** Whether this user may run containers: runc, which is Docker's own runtime, needs root here. */
export const runsContainers: boolean = process.getuid?.() === 0 && spawnSync("runc", ["--version"]).status === 0;

/** What seccomp calls the architectures of Node.js. */
const SECCOMP_ARCHITECTURES: { readonly [Name in NodeJS.Architecture]?: string } = {
  x64: "SCMP_ARCH_X86_64",
  arm64: "SCMP_ARCH_AARCH64",
};

export interface ContainerOptions {
  readonly image: AppImage;
  /** The folders of the machine that are the volumes, by path in the container. */
  readonly volumes: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** In place of the image's user. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** In place of the image's. */
  readonly entrypoint?: readonly string[];
  readonly memoryBytes?: number;
  /** The system calls that are allowed; others fail with EPERM. Default: all. */
  readonly systemCalls?: readonly string[];
}

/** Makes the folder of a volume. By default it belongs to the image's user, as Docker makes it. */
export async function volumeFolder(
  parent: string,
  name: string,
  {
    uid = 1_000,
    gid = 1_000,
    mode = 0o700,
  }: { readonly uid?: number; readonly gid?: number; readonly mode?: number } = {},
): Promise<string> {
  const folder = join(parent, name);
  await mkdir(folder);
  await chown(folder, uid, gid);
  await chmod(folder, mode);
  return folder;
}

/**
 * A container of the application's image: a read-only root, no capability, namespaces for processes, mounts and IPC, and a `/tmp` from
 * which nothing can be executed. It shares the network of the machine, where the mock of the model's API is, and so has free ports in place
 * of those of the image.
 */
export class Container implements AsyncDisposable {
  readonly url: string;
  readonly metricsUrl: string;
  /** Resolves once it has ended. */
  readonly ended: Promise<CommandResult>;
  readonly #id: string;
  readonly #bundle: string;
  readonly #process: ChildProcess;
  readonly #output: { stdout: string; stderr: string };

  private constructor(id: string, bundle: string, ports: readonly [number, number]) {
    this.#id = id;
    this.#bundle = bundle;
    this.url = `http://127.0.0.1:${ports[0]}`;
    this.metricsUrl = `http://127.0.0.1:${ports[1]}/metrics`;
    this.#process = spawn("runc", ["run", "--bundle", bundle, id], { stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    this.#output = output;
    for (const name of ["stdout", "stderr"] as const) {
      this.#process[name]?.on("data", (data) => {
        output[name] += data;
      });
    }
    this.ended = once(this.#process, "close").then(([code, signal]) => ({ code, signal, ...output }));
  }

  /** Starts the image's command, and resolves once it says that it serves. @throws Error if it ends before */
  static async start(options: ContainerOptions): Promise<Container> {
    const { cmd } = options.image.config;
    const ports = [await freePort(), await freePort()] as const;
    const command = cmd.map((word) => word.replace(/:8080$/, `:${ports[0]}`).replace(/:9464$/, `:${ports[1]}`));
    const [id, bundle] = await makeBundle(options, command);
    const container = new Container(id, bundle, ports);
    try {
      await container.#said(/^Serving /m);
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    }
    return container;
  }

  /** Runs another command in a container of its own, as `docker run` does. */
  static async run(options: ContainerOptions, ...command: readonly string[]): Promise<CommandResult> {
    const [id, bundle] = await makeBundle(options, command);
    await using container = new Container(id, bundle, [0, 0]);
    return await container.ended;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /** Runs a line of shell in the container, as its user. */
  async exec(line: string): Promise<CommandResult> {
    return await new Promise((resolve) => {
      execFile("runc", ["exec", this.#id, "sh", "-c", line], (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), signal: null, stdout, stderr });
      });
    });
  }

  /** Sends the image's stop signal, as `docker stop` does. */
  async stop(): Promise<CommandResult> {
    await this.signal("SIGTERM");
    return await this.ended;
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    await new Promise<void>((resolve) => execFile("runc", ["kill", this.#id, name], () => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.signal("SIGKILL");
    await this.ended;
    await new Promise<void>((resolve) => execFile("runc", ["delete", "--force", this.#id], () => resolve()));
    await rm(this.#bundle, { recursive: true, force: true });
  }

  async #said(text: RegExp): Promise<void> {
    const ended = this.ended.then(({ code, stderr }) => {
      throw new Error(`the container ended with ${code}: ${stderr}`);
    });
    while (!text.test(this.#output.stdout))
      await Promise.race([once(this.#process.stdout ?? this.#process, "data"), ended]);
  }
}

async function makeBundle(
  options: ContainerOptions,
  command: readonly string[],
): Promise<readonly [id: string, bundle: string]> {
  const { image, volumes, env = {}, memoryBytes, entrypoint = image.config.entrypoint } = options;
  const { config } = image;
  const bundle = await mkdtemp(join(tmpdir(), "castellan-container-"));
  const root = join(bundle, "root");
  await mkdir(root);
  await image.makeRoot(root);
  for (const path of Object.keys(volumes)) await mkdir(join(root, path), { recursive: true });
  const id = `castellan-test-${randomUUID()}`;
  const [uid = 0, gid = 0] = config.user.split(":").map(Number);
  const variables = Object.entries({ ...config.env, ...env }).filter(([, value]) => value !== undefined);
  const bind = (source: string, destination: string, access: "ro" | "rw") => ({
    source,
    destination,
    type: "bind",
    options: ["rbind", "nosuid", "nodev", access],
  });
  const tmpfs = (destination: string, ...own: readonly string[]) => ({
    source: "tmpfs",
    destination,
    type: "tmpfs",
    options: ["nosuid", ...own],
  });
  const spec = {
    ociVersion: "1.0.2",
    hostname: "castellan",
    root: { path: root, readonly: true },
    process: {
      user: options.user ?? { uid, gid },
      args: [...entrypoint, ...command],
      env: variables.map(([name, value]) => `${name}=${value}`),
      cwd: config.workdir,
      noNewPrivileges: true,
      capabilities: {},
    },
    mounts: [
      { source: "proc", destination: "/proc", type: "proc" },
      { source: "sysfs", destination: "/sys", type: "sysfs", options: ["ro", "nosuid", "noexec", "nodev"] },
      tmpfs("/dev", "mode=755"),
      tmpfs("/dev/shm", "nodev", "noexec", "mode=1777"),
      tmpfs("/tmp", "nodev", "noexec", "mode=1777", "size=512m"),
      bind("/usr", "/usr", "ro"),
      bind("/etc/ssl", "/etc/ssl", "ro"),
      bind("/etc/alternatives", "/etc/alternatives", "ro"),
      bind(image.folder, "/app", "ro"),
      bind(MODULES, MODULES, "ro"),
      ...Object.entries(volumes).map(([path, folder]) => bind(folder, path, "rw")),
    ],
    linux: {
      ...(options.systemCalls !== undefined && {
        seccomp: {
          defaultAction: "SCMP_ACT_ERRNO",
          defaultErrnoRet: constants.errno.EPERM,
          architectures: [SECCOMP_ARCHITECTURES[process.arch]],
          syscalls: [{ names: options.systemCalls, action: "SCMP_ACT_ALLOW" }],
        },
      }),
      cgroupsPath: `/${id}`,
      namespaces: ["pid", "mount", "ipc", "uts"].map((type) => ({ type })),
      resources: {
        pids: { limit: 512 },
        ...(memoryBytes !== undefined && { memory: { limit: memoryBytes } }),
      },
    },
  };
  await writeFile(join(bundle, "config.json"), JSON.stringify(spec));
  return [id, bundle];
}
