import { spawn } from "node:child_process";
import { once } from "node:events";
import { StarterError } from "./starter-error.ts";

const CLIENTS = ["npm", "pnpm", "yarn", "bun"] as const;

/** A program that installs packages. */
export type PackageClient = (typeof CLIENTS)[number];

/** The client that runs this command, by what it says of itself: `npm/11.0.0 node/v24.0.0 linux x64`. */
export function packageClient(userAgent: string = ""): PackageClient {
  return CLIENTS.find((name) => userAgent.startsWith(`${name}/`)) ?? "npm";
}

/** Installs the packages of a project. @throws StarterError if that fails, also without a network */
export async function installPackages(folder: string, client: PackageClient): Promise<void> {
  const child = spawn(client, ["install"], { cwd: folder, stdio: "inherit", shell: process.platform === "win32" });
  const code = await once(child, "close").then(
    ([status]) => status as number | null,
    (error: Error) => error.message,
  );
  if (code === 0) return;
  throw new StarterError(
    `${client} install has failed (${code}). The files are complete: when the registry can be reached, run \`${client} install\` in ${folder}.`,
  );
}
