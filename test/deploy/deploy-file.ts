import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { ROOT } from "../../scripts/guide.ts";

/** The folder of Dockerfile, compose files, units and chart. */
export const DEPLOY: string = join(ROOT, "deploy");

/** The text of a file in `deploy/`. */
export function deployFile(path: string): string {
  return readFileSync(join(DEPLOY, path), "utf8");
}

/** A service of a compose file, as far as the tests ask. */
export interface ComposeService {
  readonly image?: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly stop_grace_period?: string;
  readonly read_only?: boolean;
  readonly tmpfs?: readonly string[];
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly mem_limit?: string;
  readonly depends_on?: Readonly<Record<string, object>>;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, object | null>>;
}

/** Parses a compose file with its anchors. */
export function composeFile(name: string): ComposeFile {
  return parse(deployFile(`compose/${name}`), { merge: true }) as ComposeFile;
}

/** The settings of a systemd unit by section: each has all values of a key, in order. */
export type Unit = ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;

/** Parses a unit without continued lines, which ours do not have. */
export function parseUnit(text: string): Unit {
  const unit = new Map<string, Map<string, string[]>>();
  let section = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, name] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (name !== undefined) {
      section = new Map();
      unit.set(name, section);
      continue;
    }
    const [, key, value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined) section.set(key, [...(section.get(key) ?? []), value]);
    else if (line !== "" && !line.startsWith("#")) throw new Error(`not a line of a unit: ${line}`);
  }
  return unit;
}

/** The value of a command's option: `optionOf(["serve", "--drain-timeout", "45s"], "--drain-timeout")` is `"45s"`. */
export function optionOf(command: readonly string[], option: string): string | undefined {
  const at = command.indexOf(option);
  return at < 0 ? undefined : command[at + 1];
}
